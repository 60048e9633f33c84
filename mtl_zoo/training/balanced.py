"""Class weights that are counted in the training data."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from mtl_zoo import class_weights


class Balanced(keras.layers.Layer):
    """Weights of the classes of tasks with `class_weight="balanced"`.

    They are counted in the training data of the first `fit`, and stay: later fits, validation data and
    `evaluate` use them, and `save_weights` keeps them.

    Args:
        tasks: Sequence of `Task`.

    Attributes:
        tables: Dict from names of tasks to variables `[labels, classes]`; NaN until they are counted.
    """

    def __init__(self, tasks):
        super().__init__(dtype="float32", trainable=False, name="class_weights")
        self.wanting = [task for task in tasks if class_weights.is_balanced(task)]
        self.tables = {task.name: self._table(task) for task in self.wanting}
        self.built = True

    def resolved(self, tasks):
        """Return tasks whose class weights are variables."""
        tables = [self.tables.get(task.name, task.class_weight) for task in tasks]
        return tuple(map(_with_table, tasks, tables))

    def count(self, x, y, validation_split=0.0):
        """Count the classes in training data, unless they were counted before.

        Args:
            x: As `Border.admit` returns it.
            y: Likewise.
            validation_split: As in `fit`: what is validated on is not counted.

        Raises:
            ValueError: If the data cannot be read twice.
        """
        if self.is_counted():
            return
        found = {name: np.zeros(table.shape, "int64") for name, table in self.tables.items()}
        for labels in _labels(x, y, validation_split):
            for task in self.wanting:
                found[task.name] += class_weights.counts(task, task.labels_of(labels))
        for name, counts in found.items():
            _warn(name, counts)
            self.tables[name].assign(class_weights.balanced(counts))
            logging.info("Class weights of task '%s': %s", name, self.tables[name].numpy().tolist())

    def is_counted(self):
        """Return whether the weights are there."""
        return all(np.all(np.isfinite(table.numpy())) for table in self.tables.values())

    def check(self):
        """Raise an error unless the weights are there."""
        if not self.is_counted():
            raise ValueError(
                "`class_weight='balanced'` must be counted, by `fit` or out of `load_weights`, before a loss "
                f"can be measured. Received: tasks {list(self.tables)}, whose weights are not there yet"
            )

    def _table(self, task):
        nan = keras.initializers.Constant(math.nan)
        return self.add_weight(class_weights.shape(task), nan, name=f"{task.name}_class_weights")


def refuse(class_weight):
    """Raise an error if `fit` gets weights of classes, which tasks have."""
    if class_weight is not None:
        raise ValueError(
            "`class_weight` must be given to a task, as in `mz.Task.binary('click', class_weight={1: 9.0})` "
            "or `dataclasses.replace(task, class_weight='balanced')`; validation then uses it as well. "
            f"Received: class_weight={class_weight!r}"
        )


def _with_table(task, table):
    return dataclasses.replace(task, class_weight=table)


def _labels(x, y, validation_split):
    """Yield dicts of labels: of all data at once, or of one batch after the other."""
    if isinstance(y, dict):
        size = math.floor(len(next(iter(y.values()))) * (1.0 - (validation_split or 0.0)))  # as Keras splits
        yield {name: values[:size] for name, values in y.items()}
        return
    for batch in _batches(x):
        yield batch[1]


def _batches(x):
    """Return batches of data that can be read once more afterwards."""
    if isinstance(x, keras.utils.PyDataset) and x.num_batches is not None:
        return (x[index] for index in range(x.num_batches))
    if isinstance(x, tf.data.Dataset) and x.cardinality() != tf.data.INFINITE_CARDINALITY:
        return x
    raise ValueError(
        "`class_weight='balanced'` must be counted before training, in data that end and can be read twice: "
        "arrays, a finite `tf.data.Dataset` or a `PyDataset`; else give numbers, as in `class_weight={1: 9}`."
        f" Received: {type(x).__name__}"
    )


def _warn(name, counts):
    """Warn of classes that no label has."""
    absent = [tuple(map(int, place)) for place in np.argwhere(counts == 0)]
    if absent:
        classes = [place[1] if len(counts) == 1 else place for place in absent]
        logging.warning(
            "No training label of task '%s' is of class %s; their balanced weight is 1.",
            name,
            ", ".join(map(str, classes)),
        )
