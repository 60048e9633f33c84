"""One training of a study, and the process that it runs in, `python -m mtl_zoo.evaluation.cell`."""

import functools
import os
import pathlib
import sys
import threading

from mtl_zoo import files
from mtl_zoo.experiments.recipe import Recipe
from mtl_zoo.experiments.run import Run

ABOUT = "about.json"
FAILED = "failed.txt"
PROBE = "probe.json"
RECIPE = "recipe.json"
RUN = "run"
TEST = "test.json"
DIGITS = 16
KINDS = {
    "parameters": files.COUNT,
    "peak_memory": files.Kind("a number or null", lambda x: x is None or type(x) in (int, float)),
}


class Cell:
    """The directory of one recipe in a study: a run, what was measured of it, or why it failed.

    Its name are the first digits of the recipe's hash, so that a study that is started again finds it.

    Args:
        folder: Directory of all cells.
        recipe: `Recipe`.
    """

    def __init__(self, folder, recipe):
        self.recipe = recipe
        self.path = pathlib.Path(folder, recipe.hash[:DIGITS])
        self.run = Run(self.path / RUN)

    @property
    def is_trained(self):
        """Whether it need not be trained again."""
        return self.run.is_complete and (self.path / ABOUT).is_file()

    def has(self, job):
        """Return whether a job is done: `"train"`, `"test"` or `"probe"`."""
        done = {"train": self.is_trained, "test": self.is_trained and (self.path / TEST).is_file()}
        return done[job] if job in done else (self.path / PROBE).is_file()

    def log(self, job):
        """Return the path of what a job prints."""
        return self.path / f"{job}_log.txt"

    @property
    def failure(self):
        """Why the last attempt failed, in one line; `None` if it did not."""
        path = self.path / FAILED
        return path.read_text("utf-8").strip() if path.is_file() else None

    @property
    def validation(self):
        """Dictionary of the metrics on the validation split."""
        return self.run.metrics["validation"]

    @functools.cached_property
    def test(self):
        """Dictionary of the metrics on the test split."""
        return files.read_json(self.path / TEST)

    @property
    def probe(self):
        """Dictionary of what a probe found."""
        return files.read_json(self.path / PROBE)

    @functools.cached_property
    def about(self):
        """Dictionary with `parameters` and `peak_memory` in MB (`None` where it is not known)."""
        return files.read_json(self.path / ABOUT, KINDS)


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
    from mtl_zoo.experiments.training import train

    is_new = not cell.run.is_complete
    if is_new:
        train(cell.recipe, cell.run.path, quiet=True, test=False)
    about = {"parameters": cell.run.model.count_params(), "peak_memory": peak_memory() if is_new else None}
    files.write_json(cell.path / ABOUT, about)


def _test(cell):
    from mtl_zoo.experiments.training import measure
    from mtl_zoo.training.trainer import Trainer

    trainer = Trainer(cell.run.model, cell.run.tasks)
    trainer.compile()
    files.write_json(cell.path / TEST, measure(trainer, cell.recipe.load("test"), quiet=True))


def _probe(cell):
    from mtl_zoo.evaluation.probe import probe

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
