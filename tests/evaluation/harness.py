"""Studies whose trainings are made up: directories as they are left behind, written without training."""

import json

from mtl_zoo import files
from mtl_zoo.evaluation.cell import ABOUT, FAILED, TEST
from mtl_zoo.evaluation.grid import Grid, methods_of
from mtl_zoo.evaluation.study import Study
from mtl_zoo.experiments import Recipe, run

RATES = (0.1, 0.01)
SEEDS = (0, 1, 2)
BASE = {"dataset": "breast_cancer", "encoder": "mlp:units=8", "epochs": 2}
BALANCERS = ("equal", "uncertainty")


def metrics(auc, error):
    """Return metrics of the two tasks of `breast_cancer`."""
    return {"loss": 1.0, "malignant_auc": auc, "worst_mean_absolute_error": error}


def study_of(path, balancers=BALANCERS, rates=RATES, seeds=SEEDS, **options):
    """Return a study of balancers in hard sharing."""
    grid = Grid({"learning_rate": rates}, seeds, **options)
    return Study(path, methods_of([Recipe(balancer=x, **BASE) for x in balancers], grid), grid)


def make_up(cell, validation, test=None, seconds=1.5, memory=500.0):
    """Write what a training leaves behind."""
    cell.run.path.mkdir(parents=True)
    cell.recipe.write(cell.run.path / run.CONFIG)
    measured = {
        "best_epoch": 2,
        "seconds": 9.0,
        "seconds_per_epoch": seconds,
        "validation": validation,
        "test": {},
    }
    files.write_json(cell.run.path / run.METRICS, measured)
    for part in (run.MODEL, run.HISTORY):
        (cell.run.path / part).touch()
    (cell.path / ABOUT).write_text(json.dumps({"parameters": 1234, "peak_memory": memory}))
    if test is not None:
        files.write_json(cell.path / TEST, test)


def fail(cell, reason="train: killed by SIGKILL"):
    """Write what a training leaves behind that failed."""
    cell.path.mkdir(parents=True)
    (cell.path / FAILED).write_text(f"{reason}\n")


def made_up(path, deltas, **options):
    """Return a study with results: with the second rate on validation best, and `deltas` on test.

    Args:
        path: Directory.
        deltas: Dictionary from names of methods to δm in percent, one per seed.
        options: As for `study_of`.
    """
    study = study_of(path, **options)
    for method in study.methods:
        for seed, delta in zip(study.grid.seeds, deltas[method.name], strict=True):
            for rate, auc in zip(study.grid.points, (0.5, 0.6), strict=False):
                is_best = rate == study.grid.points[-1]
                if is_best or seed in study.grid.seeds[: study.grid.tuning_seeds]:
                    gain = 1 + delta / 100
                    test = metrics(0.5 * gain, 2.0 * (2 - gain)) if is_best else None
                    make_up(study.cell(method, rate, seed), metrics(auc, 1.0), test)
    return study
