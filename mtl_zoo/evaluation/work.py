"""The process that a cell's jobs run in: `python -m mtl_zoo.evaluation.work PATH JOB`."""

import os
import pathlib
import sys
import threading

from mtl_zoo import files
from mtl_zoo.evaluation.cell import ABOUT, PROBE, RECIPE, TEST, Cell
from mtl_zoo.evaluation.probe import probe
from mtl_zoo.experiments.recipe import Recipe
from mtl_zoo.experiments.training import measure, train
from mtl_zoo.training.trainer import Trainer


def main(path, job):
    """Do a job in a cell's directory; what is done is not repeated.

    Args:
        path: Directory with `recipe.json`.
        job: `"train"`, `"test"` (which trains first) or `"probe"`.
    """
    cell = Cell(pathlib.Path(path).parent, Recipe.read(pathlib.Path(path, RECIPE)))
    if job == "probe":
        _probe(cell)
        return
    if not cell.is_trained:
        _train(cell)
    if job == "test" and not cell.has("test"):
        _test(cell)


def _train(cell):
    is_new = not cell.run.is_complete
    if is_new:
        train(cell.recipe, cell.run.path, quiet=True, test=False)
    about = {"peak_memory": peak_memory() if is_new else None, "parameters": cell.run.model.count_params()}
    files.write_json(cell.path / ABOUT, about)


def _test(cell):
    trainer = Trainer(cell.run.model, cell.run.tasks)
    trainer.compile()
    files.write_json(cell.path / TEST, measure(trainer, cell.recipe.load("test"), quiet=True))


def _probe(cell):
    files.write_json(cell.path / PROBE, probe(cell.recipe).get_config())


def peak_memory():
    """Return the most memory that this process ever held, in MB; `None` where that is not known.

    On Linux not that of `getrusage`, in which a process begins with its parent's.
    """
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return round(int(found[0]) / 1024, 1) if found else None
    try:
        import resource
    except ImportError:
        return None
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)  # bytes on macOS


def _end_with_parent():
    """End this process when its parent has ended, however that came: nobody else writes to the pipe."""
    while os.read(0, 1):  # not `sys.stdin`, whose lock this thread would still hold when Python ends
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        main(*sys.argv[1:])
    except (FloatingPointError, ImportError, OSError, ValueError) as error:
        sys.exit(" ".join(str(error).split()))
