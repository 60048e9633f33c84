"""The run directory: what a training leaves behind."""

import contextlib
import csv
import importlib.metadata
import json
import math
import pathlib
import platform
import shutil
import tempfile

import keras

CONFIG = "config.json"
MODEL = "model.keras"
HISTORY = "history.csv"
METRICS = "metrics.json"
CURVES = "curves.png"
LOGS = "logs"
BACKUP = "backup"
PARTS = (CONFIG, MODEL, HISTORY, METRICS, CURVES, LOGS)


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
            self._begin()
        if self.tensorboard is None:
            self._open_logs()
        self.rows.append({"epoch": epoch + 1, **(logs or {})})
        with (self.path / HISTORY).open("w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)
        self.tensorboard.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        """Close the TensorBoard logs."""
        if self.tensorboard:
            self.tensorboard.on_train_end(logs)

    def _begin(self):
        _clear(self.path)
        write_json(self.path / CONFIG, self.config)

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
    if not path.is_dir() or not any(path.iterdir()) or (path / BACKUP).is_dir():
        return
    if not (path / CONFIG).is_file():
        raise FileExistsError(f"A run directory must be new, empty, or an earlier run. Received: '{path}'")
    if not overwrite:
        raise FileExistsError(f"'{path}' must not hold a run, unless --overwrite allows to replace it.")


@contextlib.contextmanager
def reserved(path):
    """Make a directory, see that it can be written, and remove it at the end if it is empty.

    Args:
        path: Directory, which may exist.

    Yields:
        The directory as `pathlib.Path`.

    Raises:
        OSError: If there is no writing to the directory.
    """
    path = pathlib.Path(path)
    made = [part for part in (path, *path.parents) if not part.exists()]
    try:
        _probe(path)
        yield path
    finally:
        with contextlib.suppress(OSError):
            for part in made:
                part.rmdir()


def save_model(model, path):
    """Save a model in a run directory, where it appears when it is complete.

    Args:
        model: `keras.Model`.
        path: Run directory.
    """
    with tempfile.TemporaryDirectory(dir=path, prefix=".saving-") as staging:
        partial = pathlib.Path(staging, MODEL)
        model.save(partial)
        partial.replace(path / MODEL)


def load(path, keys=()):
    """Load a complete run.

    Args:
        path: Run directory.
        keys: What the dictionary must have at least. Defaults to nothing.

    Returns:
        Tuple of the dictionary of what was chosen and the `keras.Model`.

    Raises:
        FileNotFoundError: If there is no run, or its training did not finish.
        ValueError: If its files cannot be read.
    """
    path = pathlib.Path(path)
    for part in (CONFIG, MODEL):
        if not (path / part).is_file():
            raise FileNotFoundError(f"'{path}' must hold a finished run. There is no file '{path / part}'.")
    config = json.loads((path / CONFIG).read_text())
    if not set(keys) <= set(config):
        raise ValueError(f"'{path / CONFIG}' must have {', '.join(keys)}. Received: {', '.join(config)}")
    return config, keras.saving.load_model(path / MODEL, compile=False)


def write_json(path, values):
    """Write a dictionary so that people can read it; NaN and infinity, which JSON has not, become `null`."""
    valid = keras.tree.map_structure(_finite, values, none_is_leaf=True)
    pathlib.Path(path).write_text(json.dumps(valid, indent=2, allow_nan=False) + "\n")


def versions():
    """Return the versions of Python and of the packages that a model depends on, by name."""
    found = {"python": platform.python_version()}
    for name in ("mtl-zoo", "keras", "tensorflow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree on the path
            found[name] = importlib.metadata.version(name)
    return found


def _finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _probe(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(f"'{path}' must be a directory that can be written ({error.strerror}).") from error


def _clear(path):
    """Remove a run, and nothing else that may be in its directory."""
    for part in PARTS:
        if (path / part).is_dir():
            shutil.rmtree(path / part)
        else:
            (path / part).unlink(missing_ok=True)
