"""Columns of a table that are features: which are numbers, which are categories, and what is in them."""

import collections
import math
import reprlib

import numpy as np
from absl import logging

from mtl_zoo.datasets import cells
from mtl_zoo.encoders.tabular import MISSING, warn_of_resolution

NUMBERS, CATEGORIES = "numbers", "categories"


def read_kinds(table, columns, categories=(), numbers=()):
    """Decide which columns are numbers and which are categories.

    A column is one of numbers if all of its cells are that are not missing, or else one of categories.
    Integers that float32 would round are more often ids than measurements: where the values recur (each
    twice, on average), the column is one of categories. A warning tells of these, and of columns that are
    nearly numeric. Rows that are bad already do not count.

    Args:
        table: `Table`.
        columns: Names of the columns.
        categories: Names of columns that are categories, whatever is in them. Defaults to none.
        numbers: Names of columns that are numbers, whatever is in them. Defaults to none.

    Returns:
        Dictionary from names of columns to `NUMBERS` or `CATEGORIES`.

    Raises:
        ValueError: If `categories` or `numbers` hold a name twice or one that is not in `columns`.
    """
    named = collections.Counter([*categories, *numbers])
    if not set(named) <= set(columns) or any(count > 1 for count in named.values()):
        raise ValueError(
            f"`categories` and `numbers` must name columns of features once, among {list(columns)}. "
            f"Received: categories={categories!r}, numbers={numbers!r}"
        )
    given = dict.fromkeys(categories, CATEGORIES) | dict.fromkeys(numbers, NUMBERS)
    return {name: given.get(name) or _guess(table, name) for name in columns}


def read_feature(table, name, kind):
    """Read a column of features, and reject the rows where a number is none or not finite in float32.

    Args:
        table: `Table`.
        name: Name of the column.
        kind: `NUMBERS` or `CATEGORIES`.

    Returns:
        Array `[rows]`. Numbers are float32, NaN where missing. Categories are strings as in the file, `""`
        where missing. Integers are int64, -2**63 where missing: as categories where all are integers (`007`
        is none), as numbers where float32 would round one.
    """
    if kind == CATEGORIES:
        integers = _integers(table, name)
        return _strings(table, name) if integers is None else integers
    values = np.array(table.parse(name, cells.number, math.nan, table.markers(name)))
    integers = _integers(table, name)
    present = [] if integers is None else integers[~is_missing(integers)].tolist()
    if _is_rounded(present) and max(map(abs, present)) <= 2**62:
        return integers
    warn_of_resolution(f"'{table.path}', the numbers of column '{name}'", values[table.good()])
    return values.astype("float32")


def describe(values, kind):
    """Return a line on what `read_feature` returned, without bad rows.

    Example:

    >>> describe(np.array([20.5, np.nan, 40.0], "float32"), NUMBERS)
    'numbers from 20.5 to 40, 1 missing'
    >>> describe(np.array(["nurse", "pilot", "nurse"], object), CATEGORIES)
    "categories: 2 strings, 'nurse', 'pilot'"
    """
    missing = is_missing(values)
    present = values[~missing]
    found = np.unique(present)
    if not len(found):
        return f"{kind}, all missing"
    dtype = {"i": " (int64)"}.get(values.dtype.kind, "")
    if kind == NUMBERS:
        text = f"numbers{dtype} from {_short(found[0])} to {_short(found[-1])}"
    else:
        noun = f"integers{dtype}" if dtype else "strings"
        text = f"categories: {len(found)} {noun}, {', '.join(map(_short, found[:3]))}"
        text += ", ..." if len(found) > 3 else ""
    text += f", {missing.sum()} missing" if missing.any() else ""
    return text + (", no value twice" if len(found) == len(present) > 1 and _names(values, kind) else "")


def is_missing(values):
    """Return which values of a column are missing, a boolean array."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == (MISSING if values.dtype.kind == "i" else "")


def _names(values, kind):
    """Return whether the values may name rows: categories, or whole numbers."""
    return kind == CATEGORIES or not np.any(values[~is_missing(values)] % 1)


def _short(value):
    if isinstance(value, str):
        return reprlib.repr(value)
    return f"{value:.6g}" if isinstance(value, np.floating) else str(value)


def _present(table, name):
    """Return the indices of the good rows where a column has a value."""
    markers = table.markers(name)
    return [index for index in table.good() if table.columns[name][index] not in markers]


def _guess(table, name):
    """Return the kind of a column from its cells."""
    found = {index: table.columns[name][index] for index in _present(table, name)}
    words = {index: cell for index, cell in found.items() if not cells.is_number(cell)}
    if words:
        _warn_if_nearly_numeric(table, name, found.values(), words)
        return CATEGORIES
    integers = [cells.integer(cell) for cell in found.values()]
    if None in integers or not _is_rounded(integers):
        return NUMBERS
    kind = CATEGORIES if 2 * len(set(integers)) <= len(integers) else NUMBERS
    logging.warning(
        "'%s', column '%s' holds integers that float32 would round, such as %d: they are taken for %s. "
        "`categories=` or `numbers=` says what they are.",
        *(table.path, name, max(integers, key=abs), kind),
    )
    return kind


def _warn_if_nearly_numeric(table, name, found, words):
    """Warn if most cells look like numbers."""
    if 2 * sum(map(cells.looks_like_number, found)) > len(found):
        places = [f"row {table.rows[index]}: {reprlib.repr(cell)}" for index, cell in words.items()]
        logging.warning(
            "'%s', column '%s' is nearly numeric, but taken for categories: %d of %d values are no numbers "
            "(%s). `missing=` marks them as missing, `numbers=` skips their rows, `categories=` confirms.",
            *(table.path, name, len(words), len(found), "; ".join(places[:3])),
        )


def _is_rounded(integers):
    """Return whether float32 would round one of the integers."""
    wide = {value for value in integers if abs(value) > 2**24}
    return any(abs(value) > 2**127 or int(np.float32(value)) != value for value in wide)


def _integers(table, name):
    """Return a column as int64, or `None` unless all good rows have integers of 64 bits or none."""
    found = {index: cells.integer(table.columns[name][index]) for index in _present(table, name)}
    if not found or not all(value is not None and abs(value) < 2**63 for value in found.values()):
        return None
    column = np.full(len(table.rows), MISSING, "int64")
    column[list(found)] = list(found.values())
    return column


def _strings(table, name):
    markers = table.markers(name)
    return np.array(["" if cell in markers else cell for cell in table.columns[name]], dtype=object)
