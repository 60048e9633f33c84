"""What is in the columns of a table, before anything is trained on it."""

import contextlib
import reprlib

from mtl_zoo.datasets import cells, features, label_words
from mtl_zoo.datasets.labels import label_columns, read_labels

SHOWN = 6  # values of a column of features
SHOWN_CLASSES = 20


def inspect_columns(table, tasks=(), classes=None, roles=None, categories=(), numbers=()):
    r"""Return a row per column: its name, what it is taken for, missing cells, values, kinds of a task.

    Rows that are not right are rejected in `table`, as in training.

    Args:
        table: `Table`.
        tasks: Sequence of `Task` whose labels are in columns. Defaults to none.
        classes: As for `read_labels`.
        roles: Dictionary from columns that are neither features nor labels to what they are.
        categories: As for `features.read_kinds`.
        numbers: Likewise.

    Returns:
        List of tuples of five strings.

    Raises:
        ValueError: If columns are missing, or labels do not suit their tasks.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("age,job\n31,nurse\n,pilot\n40,nurse\n")
    ...     table = mz.datasets.table.Table(path)
    >>> for row in inspect_columns(table):
    ...     print(row)
    ('age', 'numbers', '1', 'from 31 to 40', 'binary, classification (2 classes), regression')
    ('job', 'categories', '0', 'nurse 2, pilot 1', 'binary, classification (2 classes)')
    """
    labels = {column: task for task in tasks for column in label_columns(task)}
    if tasks:
        read_labels(table, tasks, classes)
    given = dict(roles or {}) | {column: f"labels of task {task.name}" for column, task in labels.items()}
    table.check_columns(given)
    found = [column for column in table.columns if column not in given]
    kinds = features.read_kinds(table, found, categories, numbers)
    for column in found:
        features.read_feature(table, column, kinds[column])
    return [
        _row(table, column, given.get(column) or kinds[column], _are_values(column, labels, kinds))
        for column in table.columns
    ]


def _are_values(column, labels, kinds):
    """Return whether a column is one of numbers rather than of words."""
    return labels[column].max_label is None if column in labels else kinds.get(column) == features.NUMBERS


def _row(table, column, role, are_values):
    words = label_words.count_words(table, column)
    missing = len(table.columns[column]) - words.total()
    most = SHOWN_CLASSES if role.startswith("labels") else SHOWN
    values = _range(words) if are_values else _counts(words, most)
    return column, role, str(missing), values, ", ".join(_kinds_of_task(table, column, words))


def _range(words):
    values = [float(word) for word in words if cells.is_number(word)]
    return f"from {min(values):.6g} to {max(values):.6g}" if values else "none"


def _counts(words, most):
    """Return the values that occur most often, with their numbers."""
    shown = [f"{_short(word)} {count}" for word, count in words.most_common(most)]
    more = [f"and {len(words) - most} more"] if len(words) > most else []
    return ", ".join([*shown, *more]) or "none"


def _short(word):
    return word if len(word) <= SHOWN_CLASSES and word.isprintable() else reprlib.repr(word)


def _kinds_of_task(table, column, words):
    """Yield the kinds of a task that the column could hold the labels of."""
    with contextlib.suppress(ValueError):
        label_words.find_words_of_two(table, column)
        yield "binary"
    with contextlib.suppress(ValueError):
        yield f"classification ({label_words.find_classes(table, column)[0]} classes)"
    if words and all(map(cells.is_number, words)):
        yield "regression"
