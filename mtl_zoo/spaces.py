"""The space of a task: the rows on which it is defined, such as those that were clicked."""

import dataclasses

import keras
import numpy as np
from keras import ops

from mtl_zoo.items import check_marker, flat, only


@keras.saving.register_keras_serializable("mtl_zoo")
@dataclasses.dataclass(frozen=True)
class Positive:
    """Where the labels of a task are there and above 0: yes, not class 0, or a number above 0.

    Args:
        task: `Task` with one number per row. Rows outside its own space are not there.

    Example:

    >>> Positive(mz.Task.binary("click"))({"click": np.array([1, 0, -1])}).numpy()
    array([ True, False, False])
    """

    task: object

    def __call__(self, labels):
        """Return a boolean tensor `[batch]`, out of a dict of the labels of all tasks."""
        values = ops.convert_to_tensor(labels_of(self.task, labels))
        return flat(ops.logical_and(values > 0, ops.logical_not(self.task.missing(values))))

    def __str__(self):
        return self.task.name

    def get_config(self):
        """Return plain values."""
        return {"task": keras.saving.serialize_keras_object(self.task)}

    @classmethod
    def from_config(cls, config):
        """Return what `get_config` described."""
        return cls(keras.saving.deserialize_keras_object(config["task"]))


def with_spaces(tasks):
    """Return tasks that find the rows on which they are defined: names in `where` become functions of labels.

    `Trainer` does so itself. A loop of one's own needs it before `Task.compute_loss`; and so does who takes
    some of the tasks of a dataset, whose labels stay where they are.

    Args:
        tasks: Sequence of `Task`.

    Returns:
        Tuple of `Task`.

    Raises:
        ValueError: If a `where` names no task, its own, one that is defined by way of it, or one whose labels
            are not one number per row.

    Example:

    >>> click, buy = with_spaces([mz.Task.binary("click"), mz.Task.binary("buy", where="click")])
    >>> labels = {"click": np.array([1, 0, 1]), "buy": np.array([1, 0, 0])}
    >>> buy.labels_of(labels).numpy()
    array([ 1., nan,  0.], dtype=float32)
    """
    known = {task.name: task for task in tasks}
    return tuple(_resolved(task, known, ()) for task in tasks)


def labels_of(task, labels):
    """Return a task's labels out of those of all tasks, missing outside its space.

    Args:
        task: `Task`, of `with_spaces` if its `where` is a name.
        labels: Dict of arrays or tensors by `label_name`.

    Returns:
        The labels themselves where the task is defined on all rows; else a tensor of their shape.

    Raises:
        ValueError: If `where` is a name, or not a function from the labels to a boolean per row.
    """
    values = labels[task.label_name]
    return values if task.where is None else only(task, values, inside(task, labels))


def inside(task, labels):
    """Return where a task with a `where` is defined, a boolean tensor `[batch]`; arguments as `labels_of`."""
    if isinstance(task.where, str):
        raise ValueError(
            f"`where` of task '{task.name}' must be found among all tasks first, by "
            f"`mz.with_spaces(tasks)`, or be a function of the labels. Received: where={task.where!r}"
        )
    given = {name: ops.convert_to_tensor(values) for name, values in labels.items()}
    rows = given[task.label_name].shape[0] if task.label_name in given else None
    try:
        found = task.where(given)
    except KeyError as error:
        raise ValueError(
            f"`where` of task '{task.name}' must read labels that the data have, which are {list(labels)}. "
            f"Received: one that reads {error}"
        ) from error
    return _checked(task, found, rows)


def own_labels(task, labels):
    """Return the labels for a task's loss, out of its own or a dict of those of all tasks.

    Raises:
        ValueError: If the task is not defined on all rows and the labels of the others are not there.
    """
    if isinstance(labels, dict):
        return labels_of(task, labels)
    if task.where is not None:
        raise ValueError(
            f"The loss of task '{task.name}' must get a dict of the labels of all tasks, which tell where it "
            f"is defined (where={describe(task)!r}). Received: labels of type {type(labels).__name__}"
        )
    return labels


def others(tasks):
    """Return the tasks on whose labels it depends where some tasks are defined, as far as they have others.

    Args:
        tasks: Sequence of `Task`, of `with_spaces`.
    """
    found = {task.label_name: task for task in tasks}
    for task in tasks:
        while isinstance(task.where, Positive):
            task = task.where.task
            found.setdefault(task.label_name, task)
    return list(found.values())[len({task.label_name for task in tasks}) :]


def reads_any(tasks):
    """Return whether some task is defined by a function of one's own, which may read any label."""
    own_functions = (task.where for task in tasks if callable(task.where))
    return any(not isinstance(where, Positive) for where in own_functions)


def describe(task):
    """Return where a task is defined in one word: the name of the other task or of a function."""
    return getattr(task.where, "__name__", None) or str(task.where)


def check_space(task):
    """Raise an error unless a task may have its `where`."""
    where = task.where
    if where is None:
        return
    if not isinstance(where, str) and not callable(where):
        raise ValueError(
            "`where` must be the name of another task, or a function from a dict of labels to a boolean per "
            f"row. Received: where={where!r}"
        )
    if task.per == "batch":
        raise ValueError(
            f"A task with `where` must have a loss of items or examples; that of task '{task.name}' is one "
            f"of the whole batch, of which no row can be left out. Received: where={where!r}"
        )
    check_marker(task)


def _resolved(task, known, chain):
    """Return a task whose `where` is a function; `chain` are the tasks that depend on it."""
    if not isinstance(task.where, str):
        return task
    chain = (*chain, task.name)
    if task.where in chain:
        raise ValueError(
            f"`where` of a task must not lead back to it. Received: {' where '.join((*chain, task.where))}"
        )
    other = known.get(task.where)
    if other is None:
        raise ValueError(
            f"`where` of task '{task.name}' must name a task. Received: where={task.where!r}, but the tasks "
            f"are {list(known)}; a label of no task is read by a function: "
            f"where=lambda labels: labels[{task.where!r}] > 0"
        )
    if other.label_shape not in ((), (1,)):
        raise ValueError(
            f"`where` of task '{task.name}' must name a task with one number per row. Received: "
            f"where={task.where!r}, whose labels have the shape {other.label_shape}"
        )
    return dataclasses.replace(task, where=Positive(_resolved(other, known, chain)))


def _checked(task, found, rows):
    """Return what `where` found, `[batch]`, if it is one boolean per row; `rows` is their number if known."""
    shape = tuple(getattr(found, "shape", ()))
    is_boolean = getattr(found, "dtype", None) in ("bool", np.bool_)
    is_per_row = len(shape) == 1 or shape[1:] == (1,)
    if not is_boolean or not is_per_row or (None not in (shape[0], rows) and shape[0] != rows):
        raise ValueError(
            f"`where` of task '{task.name}' must return one boolean per row, such as "
            f"`labels['click'] == 1`. Received: {found!r}"
        )
    return flat(found)
