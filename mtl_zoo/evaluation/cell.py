"""One training of a study: its directory, and what is there."""

import functools
import pathlib

from mtl_zoo import files
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

    @functools.cached_property
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
