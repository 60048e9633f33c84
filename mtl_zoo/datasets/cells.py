"""What the text of a cell says: a number, a whole number, or that there is none."""

import math
import re

import numpy as np

# Those of pandas, with `?` of the UCI repository.
MARKERS = (
    *("", "?", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
LARGEST = float(np.finfo("float32").max)
INTEGER = re.compile(r"([-+]?(?:0|[1-9]\d{0,99}))(?:\.0*)?", re.ASCII)
# 1,234.5 and 1 234 and 12,5 and $3 and 40%
DECORATED = re.compile(r"[-+]?[$€£]? ?(\d{1,3}([,.' ]\d{3})+([.,]\d+)?|\d+([.,]\d+)?) ?[%$€£]?", re.ASCII)


def is_number(cell):
    """Return whether a cell is a number or NaN; `1_000` is a number to Python alone.

    Example:

    >>> [is_number(cell) for cell in ("-2.5e1", "nan", "1_000", "1,000", "")]
    [True, True, False, False, False]
    """
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def looks_like_number(cell):
    """Return whether a cell is a number, or one with separators, a currency or a percent sign.

    Example:

    >>> [looks_like_number(cell) for cell in ("1,234.5", "12,5", "40%", "2024-01-31", "10.0.0.1")]
    [True, True, True, False, False]
    """
    return is_number(cell) or bool(DECORATED.fullmatch(cell))


def number(cell):
    """Return a cell as a float.

    Raises:
        ValueError: If it is no number, or not finite in float32; NaN is fine.
    """
    value = float(cell) if is_number(cell) else math.inf
    if abs(value) > LARGEST:
        raise ValueError(f"must be a finite number. Received: {cell!r}")
    return value


def integer(cell):
    """Return a cell as an exact integer, or `None` if it is none; `007` is a code and no integer.

    Example:

    >>> [integer(cell) for cell in ("16777217", "-3", "16777217.0", "007", "1e3", "0.5")]
    [16777217, -3, 16777217, None, None, None]
    """
    found = INTEGER.fullmatch(cell)
    return int(found[1]) if found else None
