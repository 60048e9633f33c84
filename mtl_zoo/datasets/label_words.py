"""Classes of a task, found in the column of its labels."""

import collections
import reprlib

from mtl_zoo.datasets import cells

FEW = 20  # classes that are never too many


def find_classes(table, name):
    r"""Return how many classes a column of labels has, and the words that stand for them.

    Args:
        table: `Table`.
        name: Name of the column.

    Returns:
        Tuple of the number of classes and a list of the words of classes 0, 1 and so on: integers by size,
        other words by the alphabet. `None` in place of the list where they are the integers from 0.

    Raises:
        ValueError: If there is no such column, it holds no two classes, fractions, one number in two
            spellings, or more different words than there may be classes: over half of the labels.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("job,stars\nnurse,5\n,1\npilot,3\n")
    ...     table = mz.datasets.table.Table(path)
    >>> find_classes(table, "job"), find_classes(table, "stars")
    ((2, ['nurse', 'pilot']), (3, ['1', '3', '5']))
    """
    words = count_words(table, name)
    if len(words) > FEW and 2 * len(words) > words.total():
        raise _not_classes(
            table, name, f"{len(words)} different ones in {words.total()} labels", "regression"
        )
    if all(map(cells.is_number, words)):
        return _find_integers(table, name, words)
    if len(words) < 2:
        raise _not_classes(table, name, reprlib.repr(list(words)))
    return len(words), sorted(words)


def find_words_of_two(table, name):
    """Return the words that stand for no and yes, or `None` where they are 0 and 1, or false and true.

    Args:
        table: `Table`.
        name: Name of the column.

    Raises:
        ValueError: As for `find_classes`; also if there are more than two.
    """
    words = count_words(table, name)
    if words and {word.lower() for word in words} <= {"false", "true"}:
        return None
    if words and all(cells.integer(word) in (0, 1) for word in words):
        return None
    count, found = find_classes(table, name)
    if count != 2:
        example = reprlib.repr(found or list(range(count)))
        raise ValueError(
            f"'{table.path}', column '{name}' must hold two different labels for a binary task; a "
            f"classification takes more. Received: {count} different ones, {example}"
        )
    return found


def count_words(table, name):
    """Return how often each cell of a column occurs that is not missing, a `collections.Counter`."""
    table.check_columns([name])
    if not table.rows:
        table.report()  # says why
    markers = table.markers(name)
    return collections.Counter(cell for cell in table.columns[name] if cell not in markers)


def _find_integers(table, name, words):
    """Return classes whose words are all numbers."""
    if not all(float(word).is_integer() for word in words):
        fraction = next(word for word in words if not float(word).is_integer())
        raise _not_classes(table, name, f"the number {fraction}", "regression")
    values = sorted({float(word) for word in words})
    if len(values) < 2:
        raise _not_classes(table, name, reprlib.repr(list(words)))
    if values == list(range(len(values))):
        return len(values), None
    if len(values) < len(words):
        raise _not_classes(table, name, f"one number in two spellings among {sorted(words, key=float)}")
    return len(values), sorted(words, key=float)


def _not_classes(table, name, found, other=""):
    remedy = f", or its task be a {other}" if other else ""
    return ValueError(
        f"'{table.path}', column '{name}' must hold whole numbers or words, two or more, in one spelling"
        f"{remedy}. Received: {found}"
    )
