"""The run directory: what a training leaves behind."""

import contextlib
import csv
import importlib.metadata
import os
import pathlib
import platform
import shutil

import keras

from mtl_zoo import files

CONFIG = "config.json"
MODEL = "model.keras"
HISTORY = "history.csv"
METRICS = "metrics.json"
CURVES = "curves.png"
LOGS = "logs"
BACKUP = "backup"
SUMS = "SHA256SUMS"
PARTS = (CONFIG, MODEL, HISTORY, METRICS, CURVES, LOGS, SUMS)
SUMMED = (CONFIG, METRICS, MODEL)  # what is read again
MEASURED = {"test": files.Kind("an object of numbers", lambda x: _is_object_of_numbers(x))}
REMEDY = "Bring back a copy of it, or train again with --overwrite."


class Record(keras.callbacks.Callback):
    """Begins a run directory and adds to its history and its TensorBoard logs after every epoch.

    The first epoch must be over before anything is written, an earlier run removed included: by then every
    training and validation batch has been found valid. With `callbacks.Resume`, it goes on.

    Args:
        path: Run directory.
        config: Dictionary of everything that was chosen, written as JSON.
    """

    resumed_attributes = ("rows",)

    def __init__(self, path, config):
        super().__init__()
        self.path = pathlib.Path(path)
        self.config = config
        self.rows = []
        self.tensorboard = None

    def on_epoch_end(self, epoch, logs=None):
        """Write all rows: after an interruption, the file may have some that are to come again."""
        if not self.rows:
            _clear(self.path)
        self.rows.append({"epoch": epoch + 1, **(logs or {})})
        self._write()
        if self.tensorboard is None:
            self._open_logs()
        self.tensorboard.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        """Write all once more, since an interrupted run may be damaged; close the TensorBoard logs."""
        self._write()
        if self.tensorboard:
            self.tensorboard.on_train_end(logs)

    def _write(self):
        if not self.rows:
            return
        files.write_json(self.path / CONFIG, self.config)
        with files.replaced(self.path / HISTORY) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)

    def _open_logs(self):
        self.tensorboard = keras.callbacks.TensorBoard(self.path / LOGS, write_graph=False)
        self.tensorboard.set_model(self.model)
        self.tensorboard.on_train_begin()


def check_free(path, overwrite=False):
    """Raise an error if a run directory is in use.

    An interrupted run, which has a directory `backup`, may be gone on with.

    Args:
        path: Run directory.
        overwrite: Whether an earlier run there may be replaced. Defaults to `False`.

    Raises:
        FileExistsError: If there is an earlier run and `overwrite` is false, or there is something else.
    """
    path = pathlib.Path(path)
    if not path.is_dir() or not any(path.iterdir()):
        return
    is_run, is_interrupted = (path / CONFIG).is_file(), (path / BACKUP).is_dir()
    has_parts = any(os.path.lexists(path / part) for part in PARTS)
    if not is_run and (has_parts or not is_interrupted):
        raise FileExistsError(f"A run directory must be new, empty, or an earlier run. Received: '{path}'")
    if not is_interrupted and not overwrite:
        raise FileExistsError(f"'{path}' must not hold a run, unless --overwrite allows to replace it.")


def save_model(model, path):
    """Save a model in a run directory, where it appears when it is complete.

    Args:
        model: `keras.Model`.
        path: Run directory.
    """
    (path / SUMS).unlink(missing_ok=True)  # of the model that is replaced, where a run ended before
    with files.replaced(path / MODEL) as partial:
        model.save(partial)


def finish(path, metrics):
    """Write what was measured, and the checksums by which `load` tells that the files are those of this run.

    Args:
        path: Run directory, with a model.
        metrics: Dictionary with what was measured on the splits `"validation"` and `"test"`.
    """
    files.write_json(path / METRICS, metrics)
    with files.replaced(path / SUMS) as partial:  # in the form of the program `sha256sum`
        partial.write_text("".join(f"{_sum_line(path / part)}\n" for part in SUMMED))


def load(path, kinds=None):
    """Load a complete run.

    Args:
        path: Run directory.
        kinds: Dictionary from names to the `files.Kind` of what was chosen. Defaults to no demands.

    Returns:
        Tuple of the dictionary of what was chosen and the `keras.Model`.

    Raises:
        FileNotFoundError: If there is no run, or its training did not finish.
        ValueError: If its files are not those that training wrote, or cannot be read. Runs of earlier
            versions have no checksums.
    """
    path = pathlib.Path(path)
    for part in (CONFIG, MODEL):
        if not (path / part).is_file():
            raise FileNotFoundError(f"'{path}' must hold a finished run. There is no file '{path / part}'.")
    if os.path.lexists(path / SUMS):
        _check_sums(path)
    config = files.read_json(path / CONFIG, kinds, REMEDY)
    return config, files.load_model(path / MODEL, REMEDY)


def read_metrics(path):
    """Return what was measured on the test split of a run, or an empty dictionary if nothing was."""
    metrics = pathlib.Path(path, METRICS)
    return files.read_json(metrics, MEASURED, REMEDY)["test"] if os.path.lexists(metrics) else {}


def versions():
    """Return the versions of Python and of the packages that a model depends on, by name."""
    found = {"python": platform.python_version()}
    for name in ("mtl-zoo", "keras", "tensorflow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree on the path
            found[name] = importlib.metadata.version(name)
    return found


def _clear(path):
    """Remove a run, and nothing else that may be in its directory."""
    for part in reversed(PARTS):  # the one that makes it a run comes last
        if (path / part).is_dir() and not (path / part).is_symlink():
            shutil.rmtree(path / part)
        else:
            (path / part).unlink(missing_ok=True)


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


def _sum_line(path):
    return f"{files.sha256(path)}  {path.name}"


def _is_object_of_numbers(values):
    return isinstance(values, dict) and all(x is None or type(x) in (int, float) for x in values.values())
