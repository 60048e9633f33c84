import csv
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

import mtl_zoo as mz
from mtl_zoo.evaluation.leaderboard import Leaderboard
from mtl_zoo.experiments import Recipe
from tests.evaluation.harness import BASE, RATES, SEEDS, made_up
from tests.evaluation.test_study import DELTAS

module = sys.modules["mtl_zoo.evaluation.compare"]  # whose name is that of its function
ROOT = pathlib.Path(mz.__file__).parents[1]
OF_TIME = ("seconds_per_epoch", "peak_memory_mb")
COMMAND = [
    *(sys.executable, "-m", "mtl_zoo", "compare", "--dataset=breast_cancer", "--encoder=mlp:units=8"),
    *("--epochs=2", "--batch_size=64", "--non_finite=stop", "--methods=equal", "--seeds=0,1"),
    *("--learning_rates=1e30,0.01", "--workers=2"),
]


@pytest.fixture
def recipes():
    return [Recipe(balancer="uncertainty", **BASE)]


def finished(path):
    return {part.parent.parent: part.stat().st_mtime_ns for part in path.glob("cells/*/run/metrics.json")}


def without_times(path):
    """Return the table and the page without what differs each time."""
    with (path / "results.csv").open() as file:
        rows = [{key: x for key, x in row.items() if key not in OF_TIME} for row in csv.DictReader(file)]
    page = (path / "leaderboard.md").read_text()
    rows_of_page = [re.sub(r"[\d.]+ \| ([\d,]+) \| [\d-]+ \|$", r"\1", line) for line in page.splitlines()]
    return rows, rows_of_page


@pytest.mark.slow
def test_a_study_survives_kill_9_and_repeats_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    start = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    with subprocess.Popen([*COMMAND, f"--run_dir={broken}"], **start) as process:
        while len(finished(broken)) < 2 and process.poll() is None:
            time.sleep(0.1)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    before = finished(broken)
    for path in (broken, whole):
        done = subprocess.run([*COMMAND, f"--run_dir={path}"], **start, check=False)
        assert done.returncode == 0, done.stderr
    assert before.items() <= finished(broken).items()
    assert without_times(broken) == without_times(whole)
    rows, page = without_times(whole)
    assert {row["learning_rate"] for row in rows} == {"0.01"}
    assert len(rows) == 2 * 2 * 2
    assert all(row["test_auc"] or row["test_mean_absolute_error"] for row in rows)
    assert sum("learning_rate=1e+30, seed=0: train: " in line for line in page) == 2
    assert "Left out: hard_sharing, equal, learning_rate=1e+30, seed=0: train: " in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line.partition("]")[0] for line in lines] == [f"[{n}/9" for n in range(1, 10)]
    for name in ("delta_m.png", "trade_off.png", "probe.png"):
        assert (whole / name).read_bytes().startswith(b"\x89PNG")


def test_a_finished_study_is_read_alone(tmp_path, monkeypatch, recipes, capsys):
    made_up(tmp_path, DELTAS)
    monkeypatch.setattr("mtl_zoo.evaluation.cells._command", pytest.fail)
    monkeypatch.setattr(module, "_probes", lambda study: [])
    board = mz.evaluation.compare(recipes, tmp_path, RATES, SEEDS)
    assert capsys.readouterr().err == ""
    names = ("leaderboard.md", "results.csv", "delta_m.png", "trade_off.png")
    first = [(tmp_path / name).read_bytes() for name in names]
    mz.evaluation.compare(recipes, tmp_path, RATES, SEEDS)
    assert [(tmp_path / name).read_bytes() for name in names] == first
    assert len(board.rows()) == 4
    assert b"Single-task models share nothing" in first[0]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("recipes", [None, [], "x", Recipe(), ["x"]]),
        ("run_dir", [None, "", 3]),
        ("learning_rates", [None, [], 0.1, [0.0], ["x"], [0.1, 0.1]]),
        ("seeds", [None, [], 3, [0.5], [-1], [0, 0]]),
        ("tuning_seeds", [None, 0, 4, 1.5]),
        ("tuned", [3, {"batch_size": 8}, {"batch_size": []}, {"batch_size": [[8], 0]}, {"seed": [1]}]),
        ("workers", [None, 0, 1.5, 10**6]),
        ("baselines", [None, 1]),
        ("trade_off", ["malignant_auc", ["x", "y"], 3]),
        ("quiet", [None, 1]),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path, monkeypatch, recipes, name, values):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_run", pytest.fail)
    for value in values:
        given = {"recipes": recipes, "run_dir": "study", name: value}
        with pytest.raises((TypeError, ValueError), match="Received: ") as caught:
            mz.evaluation.compare(**given)
        named = {"learning_rates": "learning_rate", "tuned": "batch_size"}.get(name, name)
        assert name in str(caught.value) or named in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_it_fails_where_no_training_ends_well(tmp_path, monkeypatch, recipes):
    command = [sys.executable, "-c", "import sys; sys.exit('No room.')"]
    monkeypatch.setattr("mtl_zoo.evaluation.cells._command", lambda job: command)
    with pytest.raises(
        ValueError, match=r"At least one training must end well\. Received: .*: train: No room"
    ):
        mz.evaluation.compare(recipes, tmp_path / "study", (0.1, 0.01), (0,), quiet=True)


def test_pictures_without_the_extra(tmp_path, monkeypatch, recipes):
    def absent(*_):
        raise ImportError

    study = made_up(tmp_path, DELTAS)
    monkeypatch.setattr(module, "pareto_front", absent)
    figure = module._trade_off(Leaderboard(study), module._axes(study, None))
    assert "pip install" in figure.axes[0].get_title()


def test_axes_are_the_first_metrics_of_two_tasks_or_what_is_chosen(tmp_path):
    study = made_up(tmp_path, DELTAS)
    assert module._axes(study, None) == {"malignant_auc": 1, "worst_mean_absolute_error": -1}
    chosen = ("worst_mean_absolute_error", "malignant_auc")
    assert list(module._axes(study, chosen)) == list(chosen)
    with pytest.raises(ValueError, match="must name two of"):
        module._axes(study, ("malignant_auc", "worst_loss"))


def test_the_probe_looks_at_equal_weighting_of_what_shares(tmp_path):
    (job,) = module._probes(made_up(tmp_path, DELTAS))
    recipe = job.cell.recipe
    assert (job.kind, recipe.architecture, recipe.balancer, recipe.learning_rate) == (
        *("probe", "hard_sharing", "equal", 0.01),
    )
