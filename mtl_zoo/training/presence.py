"""Which labels a training saw: a warning where much of a task is missing."""

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from mtl_zoo import spaces
from mtl_zoo.training import alike

MISSING = 0.5  # fraction of missing labels above which a task is warned of
CODES = "labels of a binary task are 0 and 1, below 0 is missing"


@keras.saving.register_keras_serializable("mtl_zoo")
class LabelCounts(keras.metrics.Metric):
    """Counts the labels of tasks: all, those that are missing, and of binary tasks those below 1.

    Labels outside the space of a task are none of its. Sample weights and masks do not matter. Counts up to
    16 million are exact.

    Args:
        tasks: Sequence of T `Task`.

    Example:

    >>> counts = LabelCounts([mz.Task.binary("click")])
    >>> counts.update_state({"click": [1, 1, -1, -1, -1]})
    >>> counts.warnings()
    {'click': "Of 5 labels of task 'click' 3 are missing (below 0 or NaN); labels of a binary task are 0 ..."}
    """

    def __init__(self, tasks, name="labels", **kwargs):
        super().__init__(name=name, **kwargs)
        self.tasks = tuple(tasks)
        self.counts = self.add_variable((len(self.tasks), 3), "zeros", name="counts")

    def update_state(self, labels):
        """Add a batch.

        Args:
            labels: Dict of labels.
        """
        labels = {name: tf.convert_to_tensor(values) for name, values in labels.items()}
        counts = tf.cast(tf.stack(alike.numbers(_counted, labels, self.tasks)), self.dtype)
        outside = tf.stack([_outside(task, labels) for task in self.tasks])
        self.counts.assign_add(counts - outside[:, tf.newaxis] * tf.constant([1.0, 1.0, 0.0]))

    def result(self):
        """Return the counts, `[T, 3]`."""
        return 1.0 * self.counts

    def warnings(self):
        """Return what is to be said, by the names of the tasks of which much is missing.

        That is more than half of the labels; or any, where the others of a binary task are all 1: that is how
        labels -1 and 1 look. A task without any label is not among them.
        """
        rows = zip(self.tasks, np.asarray(self.result(), "int64").tolist(), strict=True)
        found = {task.name: _message(task, *row) for task, row in rows}
        return {name: message for name, message in found.items() if message}


def warn(trainer, found):
    """Warn of tasks, once for each.

    Args:
        trainer: `Trainer`, which remembers of which tasks it warned.
        found: As `LabelCounts.warnings` returns them.
    """
    new = [name for name in found if name not in trainer.warned]
    trainer.warned.extend(new)
    for name in new:
        logging.warning(found[name])


def _counted(task, labels, axis):
    """Return the numbers of all labels of a task, of those missing, and of those below 1, `[..., 3]`."""
    missing = task.num_missing(labels, axis)
    total = tf.cast(tf.size(labels), "float32") / tf.cast(tf.size(missing), "float32")
    below_1 = tf.zeros_like(missing)
    if task.max_label == 1:
        values = tf.cast(labels, "float32")
        below_1 = tf.reduce_sum(tf.cast((values >= 0.0) & (values < 1.0), "float32"), axis)
    return tf.stack([tf.zeros_like(missing) + total, missing, below_1], axis=-1)


def _outside(task, labels):
    """Return the number of labels outside the space of a task, as a float32 scalar."""
    if task.where is None:
        return tf.constant(0.0)
    rows = tf.cast(spaces.inside(task, labels), "float32")
    values = labels[task.label_name]
    return tf.reduce_sum(1.0 - rows) * tf.math.divide_no_nan(
        tf.cast(tf.size(values), "float32"), tf.cast(tf.size(rows), "float32")
    )


def _message(task, total, missing, below_1):
    is_binary = task.max_label == 1
    if missing == total or (missing <= MISSING * total and not (is_binary and missing and not below_1)):
        return None
    space = "" if task.where is None else f", where {spaces.describe(task)},"
    message = f"Of {total:,} labels of task '{task.name}'{space} {missing:,} are missing (below 0 or NaN)"
    return f"{message}; {CODES}" if is_binary else message
