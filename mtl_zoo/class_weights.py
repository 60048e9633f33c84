"""Weights of classes: what the losses of their items are multiplied by."""

import numpy as np
from keras import ops

from mtl_zoo import arguments

BALANCED = "balanced"


def table(task):
    """Return the weights of a task's classes, checked, in the form in which `of_labels` takes them.

    Args:
        task: `Task`. Its `class_weight` is a dict from classes to weights, in which a class without an entry
            weighs 1; with several labels one for all, or a list of such per label; `"balanced"`; weights in
            this form already; or `None`.

    Returns:
        Tuple of one tuple per label, of one weight per class; `"balanced"`; a variable; or `None`.

    Raises:
        ValueError: If the task has no classes or no loss per item, or weights are not what they must be.

    Example:

    >>> from mtl_zoo import Task
    >>> table(Task.multilabel("tags", 2, class_weight={1: 5})), table(Task.regression("price"))
    (((1.0, 5.0), (1.0, 5.0)), None)
    """
    given = task.class_weight
    if given is None:
        return None
    _check_task(task)
    if hasattr(given, "assign") or (isinstance(given, str) and given == BALANCED):
        return given
    labels, classes = shape(task)
    each = [given] * labels if isinstance(given, dict) else given
    if not isinstance(each, (list, tuple)) or len(each) != labels:
        raise ValueError(_message(task))
    return tuple(_row(task, weights, classes) for weights in each)


def is_balanced(task):
    """Return whether a task's class weights are counted in data, or were: then they are a variable."""
    return isinstance(task.class_weight, str) or hasattr(task.class_weight, "assign")


def shape(task):
    """Return the number of labels with weights of their own, and the number of classes of each."""
    return (1, task.max_label + 1) if task.labels_are_indices else (task.output_shape[-1], 2)


def of_labels(task, labels):
    """Return the weights of the classes of items, float32 `[items]`.

    Args:
        task: `Task` with a `class_weight`.
        labels: Labels of items, some class for what is missing.

    Raises:
        ValueError: If the weights are those that a trainer has yet to count.
    """
    if isinstance(task.class_weight, str):
        raise ValueError(
            f"`class_weight` of task '{task.name}' must be numbers for its loss; 'balanced' ones are counted "
            "by `Trainer.fit`. Received: a loss without a trainer"
        )
    several, classes = shape(task)
    found = ops.clip(ops.cast(ops.reshape(labels, (-1,)), "int32"), 0, classes - 1)
    if several > 1:
        found = found + ops.arange(ops.shape(found)[0], dtype="int32") % several * classes
    return ops.take(ops.reshape(ops.convert_to_tensor(task.class_weight, "float32"), (-1,)), found)


def counts(task, labels):
    """Return how often every class is among labels, NumPy `[labels, classes]`.

    Args:
        task: `Task` with a `class_weight`.
        labels: Array or tensor, as for `Task.compute_loss`.

    Example:

    >>> from mtl_zoo import Task
    >>> counts(Task.classification("kind", 3, class_weight="balanced"), [2, 0, 2, -1]).tolist()
    [[1, 0, 2]]
    """
    several, classes = shape(task)
    there = ops.convert_to_numpy(task.item_weights(labels)) > 0
    values = np.where(there, np.ravel(ops.convert_to_numpy(labels)), 0).astype("int64")
    places = values + np.arange(len(values)) % several * classes
    return np.bincount(places[there], minlength=several * classes).reshape(several, classes)


def balanced(found):
    """Return weights with which all classes weigh the same: `n / (classes * count)`, 1 without any label.

    Args:
        found: What `counts` returns, of all data.

    Reference:
        [King and Zeng, 2001](https://doi.org/10.1093/oxfordjournals.pan.a004868); scikit-learn's
        `compute_class_weight("balanced")`

    Example:

    >>> balanced(np.array([[6, 2]])).round(2).tolist()
    [[0.67, 2.0]]
    """
    total = found.sum(axis=1, keepdims=True)
    return np.where(found > 0, total / (found.shape[1] * np.maximum(found, 1)), 1.0)


def _check_task(task):
    per_value = task.per == "item" and (task.labels_are_indices or task.item_size == 1)
    if task.max_label is None or not per_value:
        raise ValueError(
            "`class_weight` must be for a task of classes, with a loss of every item (example, pixel, token "
            f"or label). Received: class_weight={task.class_weight!r} for task '{task.name}'"
        )


def _row(task, weights, classes):
    """Return one weight per class."""
    if not isinstance(weights, dict):
        if not isinstance(weights, (list, tuple)) or len(weights) != classes:
            raise ValueError(_message(task))
        weights = dict(enumerate(weights))
    name = f"class_weight of task '{task.name}'"
    found = dict.fromkeys(range(classes), 1.0)
    for key, weight in weights.items():
        found[arguments.integer(name, key, 0, classes - 1)] = arguments.number(name, weight, least=0)
    return tuple(found.values())


def _message(task):
    labels, classes = shape(task)
    several = f", or a list of {labels} such dicts" if labels > 1 else ""
    return (
        f"`class_weight` of task '{task.name}' must be 'balanced' or a dict from classes, 0 to "
        f"{classes - 1}, to weights{several}. Received: class_weight={task.class_weight!r}"
    )
