"""Tasks of one kind: what is asked of the labels of each is asked of all at once."""

import math

import keras
import tensorflow as tf

from mtl_zoo.items import is_missing

LARGEST = 64  # values of one label; to stack larger ones costs more than to call an operation for each


def numbers(count, labels, tasks):
    """Return one number, or vector, per task that counts something in its labels.

    Args:
        count: Function `(task, labels, axis)` that counts along axes, `None` for all; 0 if there is nothing
            to count. For tensors it gets those of several tasks, stacked along a new first axis.
        labels: Dict of NumPy arrays or tensors by `task.label_name`.
        tasks: Sequence of T `Task`.

    Returns:
        List of T numbers.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.binary("like")]
    >>> labels = {"click": tf.constant([0, 2]), "like": tf.constant([2, 2])}
    >>> [int(number) for number in numbers(mz.Task.out_of_range, labels, tasks)]
    [1, 2]
    """
    found = [0] * len(tasks)
    given = [task.labels_of(labels) for task in tasks]
    for group in groups(given, tasks):
        task, values = tasks[group[0]], [given[index] for index in group]
        if len(group) == 1:
            counted = [count(task, values[0], None)]
        else:
            counted = _unstacked(count(task, tf.stack(values), _but_first(values[0])), len(group))
        for index, number in zip(group, counted, strict=True):
            found[index] = number
    return found


def groups(labels, tasks):
    """Return lists of the places of tasks of one kind, in order, whose labels are tensors of one shape.

    Args:
        labels: List of one array or tensor per task.
        tasks: Sequence of T `Task`.
    """
    found = {}
    for index, (task, values) in enumerate(zip(tasks, labels, strict=True)):
        kind = _kind(task, values) if _is_small(values) and _is_simple(task) else index
        found.setdefault(kind, []).append(index)
    return list(found.values())


def _kind(task, values):
    shapes = task.label_shape, task.output_shape, tuple(values.shape)
    return values.dtype, *shapes, task.item_size, task.max_label, task.missing, task.activation


def _is_small(values):
    """Return whether it pays to stack labels, and is possible."""
    if not tf.is_tensor(values) or not values.shape.rank:
        return False
    return values.shape[1:].is_fully_defined() and math.prod(values.shape[1:]) <= LARGEST


def _is_simple(task):
    """Return whether the labels of a task are missing one by one, by a rule of ours."""
    return task.per == "item" and task.missing in (is_missing, keras.ops.isnan)


def _but_first(values):
    return tuple(range(1, values.shape.rank + 1))


def _unstacked(counted, number):
    return [0] * number if isinstance(counted, int) else tf.unstack(counted, number)
