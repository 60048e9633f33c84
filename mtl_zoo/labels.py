"""Checks of the labels on their way into training."""

import contextlib
import re

import numpy as np
import tensorflow as tf

MARK = "Labels of task"
OUT_OF_RANGE = "labels out of range by task"


def checked(x, y, tasks):
    """Check labels against tasks: now for arrays, batch by batch for a dataset.

    Args:
        x: Inputs; or a `tf.data.Dataset` of `(inputs, labels)` or `(inputs, labels, sample weights)`.
        y: Dict of label arrays by `task.label_name`; `None` for a dataset.
        tasks: Sequence of `Task`.

    Returns:
        `x`; for a dataset, one that fails at the first batch with a label out of range. Other sources of
        data (generators, distributed datasets) are returned unchecked.

    Raises:
        ValueError: If a task has no labels, or labels of the wrong shape or (in arrays) range, or there is
            no example.
    """
    if isinstance(x, tf.data.Dataset):
        _check_dataset(x, tasks)
        return x.map(lambda *batch: _asserted(batch, tasks), name="check_labels").prefetch(1)
    if y is not None or isinstance(x, (np.ndarray, tf.Tensor, dict)):
        _check_shapes(y, tasks)
        for task in tasks:
            count = int(task.out_of_range(y[task.label_name]))
            if count:
                raise ValueError(_range_message(task, count))
    return x


def labelled_fractions(dataset, tasks, batches=100):
    """Return which part of each task's labels is there, in the first batches.

    Args:
        dataset: `tf.data.Dataset` of `(inputs, labels)`.
        tasks: Sequence of `Task`.
        batches: Number of batches to look at. Defaults to 100.

    Returns:
        Dictionary from names of tasks to a number from 0 to 1: labels of half an image count half.

    Example:

    >>> labels = {"click": [1, 0, -1, -1], "price": [float("nan"), 1.0, 2.0, 3.0]}
    >>> dataset = tf.data.Dataset.from_tensors((np.ones((4, 8)), labels))
    >>> labelled_fractions(dataset, [mz.Task.binary("click"), mz.Task.regression("price")])
    {'click': 0.5, 'price': 0.75}
    """

    def fractions(*batch):
        return tf.stack([task.labelled_fraction(batch[1][task.label_name]) for task in tasks])

    means = np.mean(list(dataset.take(batches).map(fractions).as_numpy_iterator()), axis=0)
    return {task.name: float(mean) for task, mean in zip(tasks, means, strict=True)}


@contextlib.contextmanager
def readable_label_errors(tasks):
    """Turn the error of a checked dataset into a `ValueError` of one line.

    Args:
        tasks: Sequence of `Task`, as for `checked`.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        counts = re.search(rf"{OUT_OF_RANGE}\] \[([\d ]+)\]", error.message)
        if not counts:
            raise
        pairs = zip(tasks, map(int, counts.group(1).split()), strict=True)
        raise ValueError(next(_range_message(*pair) for pair in pairs if pair[1])) from None


def _check_dataset(dataset, tasks):
    if dataset.cardinality() == 0:
        raise ValueError("A dataset must have at least one batch. Received: an empty dataset")
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise ValueError(f"A dataset must yield `(inputs, {{task name: label}})`. Received: {spec}")
    _check_shapes(spec[1], tasks)


def _check_shapes(labels, tasks):
    names = list(dict.fromkeys(task.label_name for task in tasks))
    if not isinstance(labels, dict):
        raise ValueError(f"Labels must be a dict with the keys {names}. Received: {type(labels).__name__}")
    if not set(names) <= set(labels):
        raise ValueError(f"Every task must have labels. Received tasks {names}, but labels {list(labels)}.")
    for task in tasks:
        if not hasattr(labels[task.label_name], "shape"):
            kind = type(labels[task.label_name]).__name__
            raise ValueError(f"{MARK} '{task.name}' must be an array or a tensor. Received: {kind}")
        shape = tf.TensorShape(labels[task.label_name].shape)
        if not any(shape.is_compatible_with((None, *expected)) for expected in _label_shapes(task)):
            raise ValueError(
                f"{MARK} '{task.name}' must have shape {(None, *task.label_shape)}. Received: {shape}"
            )
        if shape.rank and shape[0] == 0:
            raise ValueError(f"{MARK} '{task.name}' must have at least one example. Received: {shape}")


def _label_shapes(task):
    """Return the shape of a label and the one with a trailing axis of size 1 dropped or added."""
    shape = task.label_shape
    return [shape, shape[:-1] if shape[-1:] == (1,) else (*shape, 1)]


def _asserted(batch, tasks):
    """Return the batch after one assertion over all tasks; one for each would cost more than the losses."""
    counts = tf.stack([task.out_of_range(batch[1][task.label_name]) for task in tasks])
    valid = tf.reduce_all(counts == 0)
    with tf.control_dependencies([tf.debugging.Assert(valid, [OUT_OF_RANGE, counts], summarize=len(tasks))]):
        return (tf.nest.map_structure(tf.identity, batch[0]), *batch[1:])


def _range_message(task, count):
    limit = "finite" if task.max_label is None else f"at most {task.max_label}"
    return (
        f"{MARK} '{task.name}' must be {limit}, or missing (below 0 or NaN). Received: {count} out of range"
    )
