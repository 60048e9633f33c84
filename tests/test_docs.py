"""The Markdown pages say what holds: their Python runs, links lead somewhere, commands have their flags."""

import pathlib
import re
import shlex

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

import mtl_zoo as mz
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments.choices import FAMILIES

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = (".", "docs", "benchmarks", "export", "colab")
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.md"))
}
OURS = [page for page in PAGES if page == "README.md" or page.startswith("docs/")]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def commands(page, program):
    """Return the words after a program's name, for each of its calls in a page."""
    shell = "".join(blocks(page, "bash")).replace("\\\n", "")
    calls = re.findall(rf"^(?:.*[ /])?{program} ([^#&\n]*)", shell, re.MULTILINE)
    return [shlex.split(call) for call in calls]


def few_examples(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    del split, batch_size, data_dir, drop_remainder
    rng = np.random.default_rng(seed)
    labels = {task.name: rng.integers(0, 10, 8) for task in mz.datasets.multi_digits.TASKS}
    images = rng.uniform(size=(8, 13, 13, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


@pytest.mark.parametrize("page", [page for page in OURS if blocks(page, "python")])
def test_python_blocks_run_in_their_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mz.datasets.multi_digits, "load", few_examples)
    names = {}
    for block in blocks(page, "python"):
        exec(block, names)
    if page == "README.md":
        assert (tmp_path / "model.keras").is_file()
        assert (tmp_path / "exported" / "digits" / "2" / "saved_model.pb").is_file()


def test_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 200


def anchors(text):
    """Return the anchors of a page's titles, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found.read_text()), target


def test_every_page_is_in_the_index():
    linked = re.findall(r"\]\((\w+\.md)\)", PAGES["docs/README.md"])
    assert sorted([*linked, "README.md"]) == [page[5:] for page in sorted(PAGES) if page.startswith("docs/")]


@pytest.mark.parametrize(
    ("family", "pages"),
    [
        (mz.aggregators, ["README.md", "docs/methods.md"]),
        (mz.balancers, ["README.md", "docs/methods.md"]),
        (mz.architectures, ["README.md", "docs/architectures.md"]),
        (mz.encoders, ["docs/encoders.md"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_tables_name_every_member(family, pages):
    for name, member in vars(family).items():
        module = getattr(member, "__module__", "")
        if module.startswith(family.__name__ + ".") and not module.endswith(".base"):
            for page in pages:
                row = rf"^\| [^|]*`{name}[`(]"
                assert re.search(row, PAGES[page], re.MULTILINE), f"Add a row for `{name}` to {page}."


def test_table_names_every_dataset():
    for name in FAMILIES["dataset"].members():
        assert f"| `{name}` |" in PAGES["docs/data.md"], f"Add a row for `{name}` to docs/data.md."


@pytest.mark.parametrize("page", OURS)
def test_commands_have_the_flags(page):
    for name, *rest in commands(page, "mtl-zoo"):
        options = flags.FlagValues()
        cli.COMMANDS[name][1](options)
        assert options([name, *rest]) == [name]


def test_every_benchmark_stands_under_its_command():
    called = commands("benchmarks/RESULTS.md", "python")
    scripts = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py")}
    assert {script for script, *_ in called} == scripts
    for script, *rest in called:
        for flag in re.findall(r"--(?:no)?(\w+)", " ".join(rest)):
            assert f'"{flag}"' in (ROOT / script).read_text(), (script, flag)
