"""The rows of `results.csv`: one per training and task."""

import csv
import io

from mtl_zoo import files
from mtl_zoo.evaluation.grid import AXES

RESULTS = "results.csv"


def write_results(study):
    """Write what was measured of every training that ended; of those that only tuned, validation alone.

    Args:
        study: `Study`.
    """
    found = list(rows(study))
    text = io.StringIO()
    titles = list(dict.fromkeys(key for row in found for key in row))
    writer = csv.DictWriter(text, titles, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    with files.replaced(study.path / RESULTS) as partial:
        partial.write_text(text.getvalue(), "utf-8")


def rows(study):
    """Yield a dictionary per training and task, in the order of methods, tuned values, seeds and tasks.

    Args:
        study: `Study`.
    """
    for method in study.methods:
        chosen = study.chosen(method)
        for point in study.grid.points:
            is_chosen = point == chosen
            for seed in study.grid.seeds:
                cell = study.cell(method, point, seed)
                if not study.fault(cell, "validation"):
                    yield from _of_cell(study, method, point, seed, cell, is_chosen)


def _of_cell(study, method, point, seed, cell, is_chosen):
    measured = cell.run.metrics
    is_tested = is_chosen and not study.fault(cell, "test")
    for task in study.tasks:
        yield {
            "method": method.name,
            **{axis: getattr(method.recipe, axis) for axis in AXES},
            **point,
            "seed": seed,
            "chosen": "yes" if is_chosen else "no",
            "task": task.name,
            **_headline(study, task, "validation", cell.validation),
            **_headline(study, task, "test", cell.test if is_tested else {}),
            "best_epoch": measured["best_epoch"],
            "seconds_per_epoch": measured["seconds_per_epoch"],
            "parameters": cell.about["parameters"],
            "peak_memory_mb": cell.about["peak_memory"],
            "cell": cell.path.name,
        }


def _headline(study, task, split, metrics):
    """Return the columns of a task's headline metrics; those of other tasks stay empty."""
    names = dict.fromkeys(name for _, name in study.headlines)
    mine = {name for owner, name in study.headlines if owner == task.name}
    return {
        f"{split}_{name}": metrics.get(f"{task.name}_{name}", "") if name in mine else "" for name in names
    }
