"""Labels and weights of single items, in whatever type and shape they come."""

import math

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
def is_missing(labels):
    """Return where a class label, stored as an integer or a float, is absent: below 0 or NaN.

    Not `labels >= 0` denied, out of which TensorFlow's graphs make `labels < 0`, which NaN does not fulfil.
    """
    labels = ops.convert_to_tensor(labels)
    is_float = keras.backend.is_float_dtype(labels.dtype)
    return ops.logical_or(labels < 0, ops.isnan(labels)) if is_float else labels < 0


@keras.saving.register_keras_serializable("mtl_zoo")
def is_missing_or(ignored, labels):
    """Return where a class label is absent or one that does not count."""
    return ops.logical_or(is_missing(labels), ops.equal(labels, ignored))


def to_numbers(labels):
    """Convert labels to a tensor, booleans and narrow integers to int64, which holds every class index."""
    labels = ops.convert_to_tensor(labels)
    return labels if keras.backend.is_float_dtype(labels.dtype) else ops.cast(labels, "int64")


def label_values(task, labels):
    """Return labels of a task: numbers as float32, of which NaN is missing; indices as they are stored."""
    labels = to_numbers(labels)
    return labels if task.labels_are_indices else ops.cast(labels, "float32")


def comparable(labels):
    """Return labels with room for every class index, and the module, NumPy or `ops`, to compare them with."""
    return (labels, np) if isinstance(labels, np.ndarray) else (to_numbers(labels), ops)


def flat(x):
    """Return a tensor with one axis."""
    return x if len(x.shape) == 1 else ops.reshape(x, (-1,))


def smallest(rows):
    """Return the smallest value of each row; there may be no row, on a replica without examples."""
    return ops.min(rows, axis=-1, initial=float("inf"))


def expand_to(sample_weight, weights):
    """Append axes to `sample_weight` until it broadcasts over `weights`."""
    sample_weight = ops.convert_to_tensor(sample_weight)
    while len(sample_weight.shape) > len(weights.shape):
        sample_weight = ops.squeeze(sample_weight, axis=-1)
    missing_axes = len(weights.shape) - len(sample_weight.shape)
    return ops.reshape(sample_weight, (*ops.shape(sample_weight), *[1] * missing_axes))


def mask_of(outputs):
    """Return the mask that Keras keeps with an output: false where it is padding; `None` if there is none."""
    return getattr(outputs, "_keras_mask", None)


def hidden(task, labels, mask):
    """Return the labels of a task, missing where a mask says that the model answers padding.

    Args:
        task: `Task`.
        labels: As for `Task.compute_loss`.
        mask: As `mask_of` returns it, with as many leading axes of the labels as it has.

    Raises:
        ValueError: If the task has a loss of whole examples, of which no part can be left out.

    Example:

    >>> from mtl_zoo import Task
    >>> hidden(Task.tagging("tag", 5), [[3, 4]], ops.convert_to_tensor([[True, False]])).numpy()
    array([[ 3, -1]])
    """
    if mask is None:
        return labels
    if task.per != "item":
        raise ValueError(
            f"The loss of task '{task.name}' takes whole examples, so its output must have no mask of Keras. "
            "Received: one of `mask_zero` or a `Masking` layer, which a layer with `supports_masking` ends"
        )
    return only(task, labels, mask)


def only(task, labels, there):
    """Return the labels of a task, missing where they are not to count.

    Args:
        task: `Task`, whose `missing` must know -1 and NaN; see `check_marker`.
        labels: As for `Task.compute_loss`.
        there: Boolean tensor with as many leading axes of the labels as wanted.
    """
    labels = label_values(task, labels)
    if task.missing is ops.isnan:  # of indices too, where a loss of one's own takes them
        labels = ops.cast(labels, "float32")
    absent = math.nan if keras.backend.is_float_dtype(labels.dtype) else -1
    return ops.where(expand_to(there, labels), labels, ops.cast(absent, labels.dtype))


def check_marker(task):
    """Raise an error unless a task's labels can be made missing: -1 in place of an index, or NaN.

    What is known to do so is not tried: until the first operation devices can be configured.
    """
    if getattr(task.missing, "func", task.missing) in (ops.isnan, is_missing, is_missing_or):
        return
    shape = (1, *(size or 1 for size in task.label_shape))
    markers = [np.full(shape, math.nan, "float32")]
    if task.labels_are_indices and task.missing is not ops.isnan:
        markers.append(np.full(shape, -1, "int64"))
    if not all(np.all(ops.convert_to_numpy(task.missing(marker))) for marker in markers):
        raise ValueError(
            f"`missing` of task '{task.name}' must be true for {'-1 and ' * (len(markers) - 1)}NaN, which "
            f"labels become that are not to count. Received: missing={task.missing!r}"
        )
