"""Labels of tasks in the columns of a table."""

import functools
import math
import reprlib

import numpy as np

from mtl_zoo.datasets import cells
from mtl_zoo.encoders.tabular import warn_of_resolution
from mtl_zoo.kinds import kind_of
from mtl_zoo.validation import check_names


def read_labels(table, tasks, classes=None):
    """Read the labels of tasks, and reject the rows where one is neither right nor missing.

    A task's column is the one with its `label_name`, by default its name; with `n > 1` values per example
    there are `n` columns, `name_0` to `name_{n-1}`. An empty cell is a missing label, and so is a marker of
    `table` that is not among the words of `classes`. Of two classes, `false` is 0 and `true` is 1, in any
    case.

    Args:
        table: `Table`.
        tasks: Sequence of `Task` with numbers or classes per example.
        classes: Optional dictionary from such names to sequences of the words that stand for the classes, in
            the order of their indices. Labels of other tasks of classes are integers.

    Returns:
        Dictionary from the tasks' label names to arrays `[rows]` or `[rows, n]`: int64 for classes, float32
        for numbers.

    Raises:
        ValueError: If a task has labels of another kind, a column is missing, `classes` and tasks do not
            match, or most labels of a task of classes are words and it has none in `classes`.
    """
    check_names(tasks)
    table.check_columns([column for task in tasks for column in label_columns(task)])
    vocabularies = _vocabularies(tasks, {} if classes is None else classes)
    return {task.label_name: _labels(table, task, vocabularies.get(task.label_name)) for task in tasks}


def label_columns(task):
    """Return the names of the columns that hold a task's labels.

    Args:
        task: `Task`.

    Returns:
        List of strings.

    Raises:
        ValueError: If a label is more than a few numbers or one class.

    Example:

    >>> label_columns(mz.Task.binary("bought")), label_columns(mz.Task.regression("box", 2))
    (['bought'], ['box_0', 'box_1'])
    """
    if len(task.label_shape) > 1 or None in task.label_shape:
        raise ValueError(
            f"The labels of task '{task.name}' must be one class or a fixed number of values, to be in the "
            f"columns of a table. Received: label_shape={task.label_shape}"
        )
    width = math.prod(task.label_shape)
    return [task.label_name] if width == 1 else [f"{task.label_name}_{index}" for index in range(width)]


def _vocabularies(tasks, classes):
    """Return the dictionary from words to indices of each task that has `classes`."""
    sizes = {task.label_name: task.max_label + 1 for task in tasks if task.max_label is not None}
    if not isinstance(classes, dict) or any(isinstance(words, str) for words in classes.values()):
        raise ValueError(
            f"`classes` must be a dictionary from names of tasks to lists of words. Received: {classes!r}"
        )
    vocabularies = {}
    for name, words in classes.items():
        vocabularies[name] = {str(word).strip(): index for index, word in enumerate(words)}
        if len(vocabularies[name]) != len(words) or sizes.get(name) != len(words) or "" in vocabularies[name]:
            raise ValueError(
                f"`classes` must have one word per class, for tasks with these numbers of classes: {sizes}. "
                f"Received: {len(words)} words for '{name}', {reprlib.repr(list(words))}"
            )
    return vocabularies


def _labels(table, task, vocabulary):
    """Return an array of a task's labels, without the axis of values where there is one."""
    columns = [_column(table, task, name, vocabulary) for name in label_columns(task)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)


def _column(table, task, name, vocabulary):
    markers = table.markers(name)
    if task.max_label is None:
        _check_numbers(table, name)
        parse = _not_negative if kind_of(task) in ("count", "ranking") else cells.number
        values = np.array(table.parse(name, parse, math.nan, markers))
        warn_of_resolution(f"Labels '{name}' of '{table.path}'", values[table.good()])
        return values.astype("float32")
    if vocabulary:
        parse = functools.partial(_word_index, vocabulary=vocabulary)
        return np.array(table.parse(name, parse, -1, markers - set(vocabulary)), "int64")
    _check_words(table, task, name)
    parse = functools.partial(_class_index, max_label=task.max_label)
    return np.array(table.parse(name, parse, -1, markers), "int64")


def _check_numbers(table, name):
    """Raise an error if most labels that are to be numbers are words."""
    present = [cell for cell in table.columns[name] if cell not in table.markers(name)]
    words = [cell for cell in present if not cells.looks_like_number(cell)]
    if 2 * len(words) > len(present):
        raise ValueError(
            f"'{table.path}', column '{name}' must hold numbers; words are labels of a binary task or a "
            f"classification. Received: {len(words)} words in {len(present)} labels, such as {words[0]!r}"
        )


def _check_words(table, task, name):
    """Raise an error if most labels of a task without `classes` are words."""
    present = [cell for cell in table.columns[name] if cell not in table.markers(name)]
    words = [cell for cell in present if not (cells.is_number(cell) or _is_boolean(cell, task.max_label))]
    if 2 * len(words) > len(present):
        found = sorted(set(present))
        raise ValueError(
            f"'{table.path}', column '{name}' must hold integers from 0 to {task.max_label}, or `classes` "
            f"must list the words that stand for them, such as classes={{'{task.label_name}': "
            f"{reprlib.repr(found)}}}. Received: {len(words)} words in {len(present)} labels"
        )


def _not_negative(cell):
    value = cells.number(cell)
    if value < 0:
        raise ValueError(f"must be a number of at least 0. Received: {cell!r}")
    return value


def _word_index(cell, vocabulary):
    if cell not in vocabulary:
        raise ValueError(f"must be one of {reprlib.repr(list(vocabulary))}. Received: {cell!r}")
    return vocabulary[cell]


def _class_index(cell, max_label):
    if _is_boolean(cell, max_label):
        return int(cell.lower() == "true")
    value = float(cell) if cells.is_number(cell) else math.nan
    if not (value.is_integer() and 0 <= value <= max_label):
        raise ValueError(f"must be an integer from 0 to {max_label}. Received: {cell!r}")
    return int(value)


def _is_boolean(cell, max_label):
    return max_label == 1 and cell.lower() in ("true", "false")
