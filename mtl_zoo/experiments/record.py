"""A run directory, written epoch by epoch."""

import csv
import time

import keras

from mtl_zoo import files
from mtl_zoo.experiments import run


class Record(keras.callbacks.Callback):
    """Begins a run directory and adds to its history and its TensorBoard logs after every epoch.

    The first epoch must be over before anything is written, an earlier run removed included: by then every
    training and validation batch has been found valid. With `callbacks.Resume`, it goes on.

    Args:
        path: Run directory.
        recipe: `Recipe`.

    Attributes:
        seconds: List of how long every epoch took, its validation included; the first compiles.
    """

    resumed_attributes = ("rows", "seconds")

    def __init__(self, path, recipe):
        super().__init__()
        self.run = run.Run(path)
        self.recipe = recipe
        self.rows = []
        self.seconds = []
        self._began = time.monotonic()
        self.tensorboard = None

    def on_epoch_begin(self, epoch, logs=None):
        """Look at the clock."""
        self._began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Write all rows: after an interruption, the file may have some that are to come again."""
        self.seconds.append(time.monotonic() - self._began)
        if not self.rows:
            self.run.clear()
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
        self.recipe.write(self.run.path / run.CONFIG)
        with files.replaced(self.run.path / run.HISTORY) as partial, partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)

    def _open_logs(self):
        self.tensorboard = keras.callbacks.TensorBoard(self.run.path / run.LOGS, write_graph=False)
        self.tensorboard.set_model(self.model)
        self.tensorboard.on_train_begin()
