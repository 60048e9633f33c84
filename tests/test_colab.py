import functools
import importlib.metadata
import re

import nbformat
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests import colab
from tests.colab import COLAB, NOTEBOOKS, PAGES, execute, kinds, read

README = COLAB / "README.md"
QUICKSTART = COLAB / "01_quickstart.ipynb"
MOST_BYTES = 2_000_000  # of all notebooks
MACHINE = r"site-packages|(?<![\w./])/(?:root|home|tmp|Users|usr|work|content)/|[A-Z]:\\"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def sources(notebook):
    return "\n".join(cell.source for cell in notebook.cells)


def stdout(notebook, cell_id):
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return "".join(output.text for output in cell.outputs if output.get("name") == "stdout")


def installed(name):
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def test_is_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MOST_BYTES


def test_asks_one_question_in_its_first_line(path):
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# [^?\n]+\?\n", first.source)
    assert f"]({colab.OPEN}{path.name})" in first.source


def test_has_one_title(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_says_where_to_go_next(path):
    last = read(path).cells[-1]
    assert last.cell_type == "markdown"
    assert last.source.startswith("## Where to go next")
    assert f"]({PAGES}docs/" in last.source


def test_links_lead_somewhere(path):
    for page in re.findall(rf"{re.escape(PAGES)}([^)#]+)", sources(read(path))):
        assert (colab.ROOT / page).exists(), page


def test_installs_first(path):
    assert code_cells(read(path))[0].source == colab.INSTALL


def test_address_stands_in_one_place():
    pages = [
        *colab.ROOT.glob("*.*"),
        *colab.ROOT.glob("docs/*.*"),
        *colab.ROOT.glob("export/*.md"),
        *COLAB.iterdir(),
    ]
    text = "\n".join(page.read_text() for page in pages if page.suffix in {".md", ".ipynb", ".toml", ".cff"})
    assert set(re.findall(r"https://github\.com/[\w.-]+/mtl[_-]zoo\b", text)) == {colab.REPOSITORY}


def test_is_saved_with_outputs_and_pictures(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata == colab.METADATA
    assert [cell.execution_count for cell in code_cells(notebook)] == [
        *range(1, len(code_cells(notebook)) + 1)
    ]
    found = [kind for answers in kinds(notebook).values() for kind in answers]
    assert any("image/png" in kind for kind in found)
    assert not {"stderr", "error"} & {part for kind in found for part in ([kind] if "std" in kind else kind)}


def test_saves_nothing_that_differs_from_run_to_run(path):
    notebook = read(path)
    assert all(cell.metadata == {} for cell in notebook.cells)
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert not re.search(MACHINE, "\n".join(texts))
    assert not re.search(r" at 0x[0-9a-f]+>", "\n".join(texts))


def test_has_no_absolute_path(path):
    assert not re.search(r"[\"'\s](/|~|[A-Z]:\\)\w", sources(read(path)))


def test_mentions_only_public_names(path):
    text = sources(read(path))
    names = re.findall(r"\bmz\.([\w.]*\w)", text)
    assert names
    for name in names:
        assert not re.search(r"(^|\.)_", name)
        functools.reduce(getattr, name.split("."), mz)
    assert re.findall(r".*\bimport mtl_zoo\b.*|.*\bfrom mtl_zoo\b.*", text) == ["import mtl_zoo as mz"]


def test_readme_lists_every_notebook():
    row = r"^\| \[\d\d\]\((.+?)\) \| (.+?) \| \[.+?\]\((.+?)\) \|$"
    questions = [read(path).cells[0].source.splitlines()[0][2:] for path in NOTEBOOKS]
    assert re.findall(row, README.read_text(), re.MULTILINE) == [
        (path.name, question, colab.OPEN + path.name)
        for path, question in zip(NOTEBOOKS, questions, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_answers_as_saved(path, tmp_path, multi_digits_dir):
    saved = read(path)
    if (name := colab.package(saved)) and not installed(name):
        pytest.skip(f"Package {name}, which carries the data, is not installed.")
    found = execute(path, tmp_path, multi_digits_dir)
    assert kinds(found) == kinds(saved)
    if path == QUICKSTART:
        check_quickstart(found, tmp_path, multi_digits_dir)


def check_quickstart(notebook, directory, data_dir):
    """Check that what was exported answers the test images as well as the notebook says, above chance."""
    (version,) = (directory / "exported/digits").iterdir()
    assert version.name.isdecimal()
    images, labels = next(iter(mz.datasets.multi_digits.load("test", batch_size=4000, data_dir=data_dir)))
    answers = tf.saved_model.load(version).signatures["serving_default"](image=images)
    for name in ("left", "right"):
        accuracy = np.mean(answers[name].numpy().argmax(-1) == labels[name].numpy())
        assert accuracy > 0.5  # chance is 0.1
        printed = re.search(rf"{name}: (.*)% correct", stdout(notebook, "test"))[1]
        assert float(printed) / 100 == pytest.approx(accuracy, abs=1e-3)
