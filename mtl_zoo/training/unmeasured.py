"""What `fit` and `evaluate` do about tasks of which nothing was measured."""

import math

import keras
from absl import logging


def warn(trainer, names):
    """Warn of tasks without a label, once for each.

    Args:
        trainer: `Trainer`, which remembers of which tasks it warned.
        names: Names of the tasks.
    """
    new = [name for name in names if name not in trainer.warned]
    if new:
        trainer.warned.extend(new)
        tasks = ", ".join(f"'{name}'" for name in new)
        logging.warning("No label of task %s was seen: its loss and metrics are NaN, not in `loss`.", tasks)


class Unmeasured(keras.callbacks.Callback):
    """Lets callbacks with a best value (as `EarlyStopping`) forget one that is NaN, which nothing would beat.

    So a first finite value is better than NaN before it, and with nothing but NaN no epoch is better than the
    last: training does not end early, and a checkpoint of the best is one of the last.

    Args:
        callbacks: Callbacks, nested or not, or `None`.
    """

    def __init__(self, callbacks):
        super().__init__()
        self.callbacks = [x for x in keras.tree.flatten(callbacks or []) if hasattr(x, "best")]

    def on_epoch_begin(self, epoch, logs=None):
        """Forget best values that are NaN."""
        for callback in self.callbacks:
            if callback.best is not None and math.isnan(callback.best):
                callback.best = None
