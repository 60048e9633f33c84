"""How many of a task's labels are wrong or missing: its methods `out_of_range` and so on."""

import keras
from keras import ops

from mtl_zoo.items import comparable, is_missing, label_values


def out_of_range(task, labels, axis=None):
    """Return the number of labels that are neither missing nor in the valid range.

    Args:
        task: `Task`.
        labels: Tensor, or NumPy array, of which NumPy counts: also in a process without TensorFlow.
        axis: Axes to count along. Defaults to `None`: all.
    """
    labels, np_or_ops = comparable(labels)
    if task.max_label is not None:
        invalid = labels > task.max_label
    elif keras.backend.is_float_dtype(labels.dtype):
        invalid = np_or_ops.isinf(labels)
    else:
        return 0
    if task.missing not in (is_missing, ops.isnan):  # whose missing labels are never beyond the range
        invalid = np_or_ops.logical_and(invalid, np_or_ops.logical_not(task.missing(labels)))
    return np_or_ops.sum(invalid, axis=axis)


def not_whole(task, labels, axis=None):
    """Return the number of labels of classes that are there and are not whole numbers.

    Args:
        task: `Task`.
        labels: As for `out_of_range`.
        axis: As for `out_of_range`.
    """
    labels, np_or_ops = comparable(labels)
    if task.max_label is None or not keras.backend.is_float_dtype(labels.dtype):
        return 0
    labels = np_or_ops.maximum(labels, 0)  # what is negative is missing
    return np_or_ops.sum(labels > np_or_ops.floor(labels), axis=axis)


def labelled_fraction(task, labels):
    """Return which part of the labels is there, as a float32 scalar."""
    return 1.0 - ops.mean(_missing(task, labels))


def num_missing(task, labels, axis=None):
    """Return the number of labels that are missing, float32, along some axes or all."""
    return ops.sum(_missing(task, labels), axis=axis)


def _missing(task, labels):
    """Return 1 where a label is missing, else 0, float32."""
    return ops.cast(task.missing(label_values(task, labels)), "float32")
