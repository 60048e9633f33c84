import json
import subprocess
import sys

import pytest

from mtl_zoo.evaluation import work
from mtl_zoo.evaluation.cell import Cell
from mtl_zoo.evaluation.work import main, peak_memory
from mtl_zoo.experiments import Recipe, run
from tests.evaluation.harness import BASE, make_up, metrics

RECIPE = Recipe(**BASE, learning_rate=0.01)
ORPHAN = """
import sys, threading, time
from mtl_zoo.evaluation import work
threading.Thread(target=work._end_with_parent, daemon=True).start()
time.sleep(60)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    cell = Cell(tmp_path_factory.mktemp("cells"), RECIPE)
    cell.path.mkdir()
    RECIPE.write(cell.path / "recipe.json")
    main(cell.path, "train")
    return cell


def test_tuning_does_not_read_the_test_split(trained):
    assert trained.run.metrics["test"] == {}
    assert trained.run.metrics["seconds_per_epoch"] > 0
    assert "malignant_auc" in trained.validation
    assert (trained.has("train"), trained.has("test"), trained.has("probe")) == (True, False, False)
    assert trained.about["parameters"] == trained.run.model.count_params() > 0
    assert 100 < trained.about["peak_memory"] < 100_000


def test_what_is_trained_is_tested_once_and_not_trained_again(trained, monkeypatch):
    before = (trained.run.path / run.METRICS).read_bytes()
    main(trained.path, "test")
    assert (trained.run.path / run.METRICS).read_bytes() == before
    assert trained.has("test")
    assert trained.test.keys() == trained.validation.keys()
    assert trained.test != trained.validation
    monkeypatch.setattr(work, "_test", pytest.fail)
    main(trained.path, "test")


def test_it_tests_what_training_tests(trained, tmp_path):
    """The same number as of `mtl-zoo train`, which reads the split at its end."""
    from mtl_zoo.experiments import train

    main(trained.path, "test")
    whole = train(RECIPE, tmp_path / "run", quiet=True)
    assert trained.test == pytest.approx(whole.metrics["test"], rel=1e-6)
    assert trained.validation == pytest.approx(whole.metrics["validation"], rel=1e-6)


def test_what_a_made_up_cell_holds_is_what_a_real_one_holds(trained, tmp_path):
    made = Cell(tmp_path, RECIPE)
    make_up(made, metrics(0.5, 1.0))
    assert made.run.metrics.keys() == trained.run.metrics.keys()
    assert made.about.keys() == trained.about.keys()
    assert made.validation.keys() <= trained.validation.keys()
    assert made.has("train")


def test_a_run_that_ended_before_it_was_described_is_not_trained_again(tmp_path, trained):
    other = Cell(tmp_path, RECIPE)
    other.path.mkdir()
    RECIPE.write(other.path / "recipe.json")
    (other.path / "run").symlink_to(trained.run.path)
    assert not other.is_trained
    main(other.path, "train")
    assert json.loads((other.path / "about.json").read_text())["peak_memory"] is None  # of another process
    assert other.is_trained


def test_peak_memory_is_that_of_this_process():
    before = peak_memory()
    block = bytearray(300 * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    assert peak_memory() >= before


@pytest.mark.slow
def test_a_process_ends_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE) as process:
        process.stdin.close()  # as the system does when the parent ends
        assert process.wait(60) == 1
