"""The run directory: what a training leaves behind."""

import csv
import functools
import os
import pathlib
import shutil

import keras

from mtl_zoo import arguments, files
from mtl_zoo.experiments.own_data import OwnData
from mtl_zoo.experiments.recipe import ADDED, FIELDS, Recipe
from mtl_zoo.validation import check_tasks

CONFIG = "config.json"
MODEL = "model.keras"
HISTORY = "history.csv"
METRICS = "metrics.json"
CURVES = "curves.png"
LOGS = "logs"
BACKUP = "backup"  # of a training that goes on
STATE = "state"  # at the end, to go on from
SUMS = "SHA256SUMS"
PARTS = (CONFIG, MODEL, HISTORY, METRICS, CURVES, LOGS, STATE, SUMS)
SUMMED = (CONFIG, METRICS, MODEL)  # what is read again
GIVEN = {key: files.Kind("given", lambda value: True) for key in FIELDS if key not in ADDED}
MEASURED = {"test": files.Kind("an object of numbers", lambda x: _is_object_of_numbers(x))}
REMEDY = "Bring back a copy of it, or train again with --overwrite."


class Run:
    """A run directory as one object. Files are read when they are asked for, recipe and model once.

    What is read again must be what training wrote, by the checksums in `SHA256SUMS`; runs of earlier versions
    have none.

    Args:
        path: Run directory, which may not be there yet.

    Raises:
        FileNotFoundError: Where something is asked for that is not there: training did not finish.
        ValueError: Where files are not those that training wrote, or cannot be read.

    Example:

    >>> Run("runs/none").is_complete
    False
    """

    def __init__(self, path):
        self.path = pathlib.Path(arguments.path("path", path))

    def __repr__(self):
        return f"Run('{self.path}')"

    @property
    def is_complete(self):
        """Whether training has ended, and left all that it measured; files may be damaged still."""
        parts = (CONFIG, MODEL, HISTORY, METRICS)
        return all((self.path / part).is_file() for part in parts) and not self.is_interrupted

    @property
    def is_interrupted(self):
        """Whether the same training, started again, goes on."""
        return (self.path / BACKUP).is_dir()

    @functools.cached_property
    def recipe(self):
        """`Recipe` of the training."""
        self._check(CONFIG)
        path = self.path / CONFIG
        config = files.read_json(path, GIVEN, REMEDY)
        try:
            return Recipe.from_config(config)
        except ValueError as error:
            raise ValueError(f"'{path}' must hold a recipe. {REMEDY} Received: {error}") from error

    @functools.cached_property
    def model(self):
        """`keras.Model` of the selected epoch, loaded, not compiled."""
        self._check(CONFIG, MODEL)
        recipe, model = self.recipe, files.load_model(self.path / MODEL, REMEDY)
        try:
            check_tasks(model, recipe.tasks())
            _check_inputs(model, recipe.inputs())
        except ValueError as error:
            both = f"'{CONFIG}' and '{MODEL}' in '{self.path}' must be of one run. {REMEDY}"
            raise ValueError(f"{both} Received: {error}") from error
        return model

    @property
    def tasks(self):
        """Tuple of the trained tasks."""
        return self.recipe.tasks()

    @property
    def class_names(self):
        """Dictionary from tasks to the words of their classes, where data of a user's own have any."""
        return self.recipe.data.class_names if isinstance(self.recipe.data, OwnData) else {}

    @property
    def metrics(self):
        """What `metrics.json` holds; `None` for a number that is not defined, nothing if none was measured.

        `best_epoch`, `seconds`, `seconds_per_epoch` (the median without the first, which compiles), and for
        `validation` and `test` a dictionary from metrics to numbers, empty if a split was not read.
        """
        path = self.path / METRICS
        return files.read_json(path, MEASURED, REMEDY) if os.path.lexists(path) else {}

    @property
    def history(self):
        """Dictionary from `epoch` and the names of the logs to lists of numbers, one per epoch."""
        path = files.check_file(self.path / HISTORY)
        try:
            with path.open(newline="", encoding="utf-8") as file:
                names, *rows = csv.reader(file)
                columns = zip(names, *rows, strict=True)
                return {name: [float(value) for value in values] for name, *values in columns}
        except (ValueError, csv.Error) as error:
            raise ValueError(f"'{path}' must be a table of numbers. {REMEDY} Received: {error}") from error

    def information(self, artefact):
        """Return what the model card of an artefact tells of this run, whose place is as seen from there.

        Args:
            artefact: Path of what is exported.
        """
        folder = os.path.dirname(os.path.realpath(artefact))
        data = {"dataset": self.recipe.dataset}
        if isinstance(self.recipe.data, OwnData):
            data = {"dataset": self.recipe.data.about["kind"], "table": self.recipe.data.about}
        return {
            **data,
            "architecture": self.recipe.architecture,
            "run_dir": os.path.relpath(os.path.realpath(self.path), folder),
            "metrics": self.metrics.get("test", {}),
        }

    def check_free(self, overwrite=False):
        """Raise an error if the directory is in use; an interrupted run may be gone on with.

        Args:
            overwrite: Whether an earlier run there may be replaced. Defaults to `False`.

        Raises:
            FileExistsError: If there is an earlier run and `overwrite` is false, or there is something else.
        """
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return
        is_run = (self.path / CONFIG).is_file()
        has_parts = any(os.path.lexists(self.path / part) for part in PARTS)
        if not is_run and (has_parts or not self.is_interrupted):
            raise FileExistsError(
                f"A run directory must be new, empty, or an earlier run. Received: '{self.path}'"
            )
        if not self.is_interrupted and not overwrite:
            raise FileExistsError(
                f"'{self.path}' must not hold a run, unless --overwrite allows to replace it, or "
                "--continue to give it more epochs."
            )

    def clear(self):
        """Remove the run, and nothing else that may be in its directory."""
        for part in reversed(PARTS):  # the one that makes it a run comes last
            if (self.path / part).is_dir() and not (self.path / part).is_symlink():
                shutil.rmtree(self.path / part)
            else:
                (self.path / part).unlink(missing_ok=True)

    def save_model(self, model):
        """Save a `keras.Model`, which appears when it is complete."""
        (self.path / SUMS).unlink(missing_ok=True)  # of the model that is replaced, where a run ended before
        with files.replaced(self.path / MODEL) as partial:
            model.save(partial)

    def finish(self, metrics):
        """Write what was measured, and the checksums that tell that the files are those of this run.

        Args:
            metrics: Dictionary with what was measured on the splits `"validation"` and `"test"`.
        """
        files.write_json(self.path / METRICS, metrics)
        with files.replaced(self.path / SUMS) as partial:  # in the form of the program `sha256sum`
            partial.write_text("".join(f"{_sum_line(self.path / part)}\n" for part in SUMMED))

    def _check(self, *parts):
        """Raise an error unless parts are there, and what has a checksum is what training wrote."""
        for part in parts:
            if not (self.path / part).is_file():
                missing = f"There is no file '{self.path / part}'."
                raise FileNotFoundError(f"'{self.path}' must hold a finished run. {missing}")
        if os.path.lexists(self.path / SUMS):
            _check_sums(self.path)


def _check_sums(path):
    """Raise a `ValueError` unless the files of a run are those of which training wrote the checksums."""
    sums = path / SUMS
    text = files.check_file(sums).read_bytes().decode(errors="replace")
    changed = [
        part
        for part in SUMMED
        if not (path / part).is_file() or _sum_line(path / part) not in text.split("\n")
    ]
    if changed or not text.endswith("\n"):
        names = ", ".join(changed or [SUMS])
        raise ValueError(
            f"{names} in '{path}' must be what training wrote, with the SHA-256 in '{sums}'. {REMEDY} "
            f"If you changed it on purpose, remove '{sums}'."
        )


def _check_inputs(model, inputs):
    """Raise a `ValueError` unless a model takes what a dataset gives."""
    wanted, found = (
        [(x.shape, x.dtype) for x in keras.tree.flatten(given)] for given in (inputs, model.inputs)
    )
    if wanted != found:
        raise ValueError(f"Inputs must be {wanted}, which are those of the dataset. Received: {found}")


def _sum_line(path):
    return f"{files.sha256(path)}  {path.name}"


def _is_object_of_numbers(values):
    return isinstance(values, dict) and all(x is None or type(x) in (int, float) for x in values.values())
