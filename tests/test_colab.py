import asyncio
import functools
import pathlib
import re

import keras
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from nbclient import NotebookClient

import mtl_zoo as mz

ROOT = pathlib.Path(__file__).parents[1]
COLAB = ROOT / "colab"
NOTEBOOKS = sorted(COLAB.glob("*.ipynb"))
BADGE = "https://colab.research.google.com/github/mtl-zoo/mtl_zoo/blob/main/colab/"
INSTALL = "%pip install -q git+https://github.com/mtl-zoo/mtl_zoo"


def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def execute(path, directory, data_dir, parameters, last_cell):
    """Run a notebook in `directory`, with other parameters, without the installation, and one cell more."""
    notebook = read(path)
    (cell,) = tagged(notebook, "parameters")
    cell.source += f"\n{parameters}"
    notebook.cells.append(nbformat.v4.new_code_cell(last_cell))
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        skip_cells_with_tag="skip-execution",
        resources={"metadata": {"path": str(directory)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("MPLBACKEND", raising=False)
        patch.setenv("TFDS_DATA_DIR", str(data_dir))
        for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(variable, str(directory / variable.lower()))
        return asyncio.run(client.async_execute())


def stdout(notebook, cell_id):
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_is_committed_without_results(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_opens_in_colab(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert f"]({BADGE}{path.name})" in first.source


def test_installs_first(path):
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert tagged(notebook, "skip-execution") == [code[0]]
    assert code[0].source == INSTALL


def test_mentions_only_public_names(path):
    text = "\n".join(cell.source for cell in read(path).cells)
    names = re.findall(r"\bmz\.([\w.]*\w)", text)
    assert names
    for name in names:
        assert not re.search(r"(^|\.)_", name)
        functools.reduce(getattr, name.split("."), mz)
    assert re.findall(r".*\bimport mtl_zoo\b.*|.*\bfrom mtl_zoo\b.*", text) == ["import mtl_zoo as mz"]


def test_has_no_absolute_path(path):
    assert not re.search(r"[\"'\s](/|~|[A-Z]:\\)\w", "\n".join(cell.source for cell in read(path).cells))


def test_readme_lists_every_notebook():
    linked = re.findall(r"\]\((.*?\.ipynb)\)", (COLAB / "README.md").read_text())
    assert linked == [path.name for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("quickstart")


@pytest.fixture(scope="module")
def quickstart(directory, multi_digits_dir):
    """The notebook after one epoch; it leaves `model.keras` beside what it exports."""
    parameters, last_cell = "EPOCHS = 1", "model.save('model.keras')"
    return execute(COLAB / "01_quickstart.ipynb", directory, multi_digits_dir, parameters, last_cell)


@pytest.fixture(scope="module")
def exported(quickstart, directory):
    (version,) = (directory / "exported/digits").iterdir()
    assert version.name.isdecimal()
    return tf.saved_model.load(version)


@pytest.fixture(scope="module")
def examples(multi_digits_dir):
    """All test images, and the labels of both tasks."""
    test = mz.datasets.multi_digits.load("test", batch_size=4000, data_dir=multi_digits_dir)
    return next(iter(test))


def test_quickstart_draws_pictures(quickstart):
    drawn = [
        cell.id
        for cell in quickstart.cells
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]
    assert drawn == ["look", "curves", "predictions", "stitches"]


def test_quickstart_trains_above_chance(quickstart, exported, examples):
    images, labels = examples
    answers = exported.signatures["serving_default"](image=images)
    for name in ("left", "right"):
        accuracy = np.mean(answers[name].numpy().argmax(-1) == labels[name].numpy())
        assert accuracy > 0.5  # chance is 0.1
        printed = re.search(rf"{name}: (.*)% correct", stdout(quickstart, "test"))[1]
        assert float(printed) / 100 == pytest.approx(accuracy, abs=1e-3)


def test_quickstart_exports_what_it_trained(exported, examples, directory):
    images, _ = examples
    logits = keras.saving.load_model(directory / "model.keras")(images)
    for name in ("left", "right"):
        expected = keras.ops.softmax(logits[name])
        for signature in (name, "serving_default"):
            answer = exported.signatures[signature](image=images)[name]
            np.testing.assert_allclose(answer, expected, atol=1e-5)
