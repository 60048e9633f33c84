"""Tables of pandas as arrays, without pandas: what has `columns` is one, what has `iloc` a part of one."""

import keras
import numpy as np


def without_frames(x):
    """Return inputs in which every table and column is an array.

    Args:
        x: Structure of inputs.

    Returns:
        The same structure; a table becomes an array `[rows, columns]`.
    """
    return keras.tree.map_structure(_array, x)


def by_column(table):
    """Return a table as a dict of arrays `[rows]` by the names of its columns; anything else as it is."""
    if not hasattr(table, "columns"):
        return table
    return {name: _array(table[name]) for name in table.columns}


def inputs(x, slots):
    """Return inputs without tables.

    Args:
        x: Structure of inputs.
        slots: What `inputs.slots` returns, or `None`. A model with one input takes a table as an array
            `[rows, columns]`, any other by the names of its columns.
    """
    several = isinstance(slots, (dict, list, tuple)) and (isinstance(slots, dict) or len(slots) > 1)
    return without_frames(by_column(x) if several else x)


def _array(values):
    """Return a column or a table as an array, in which a missing number is NaN."""
    if hasattr(values, "columns"):
        columns = [_array(values[name]) for name in values.columns]
        _check_columns(columns)
        return np.stack(columns, axis=1)  # of flags and numbers, where pandas makes objects
    if not hasattr(values, "iloc"):
        return values
    is_number = getattr(values.dtype, "kind", "O") in "iufb"
    if is_number and hasattr(values.dtype, "na_value"):  # a type of pandas' own, with NA
        return values.to_numpy("float64", na_value=np.nan)
    return np.asarray(values)


def _check_columns(columns):
    """Raise an error if a table for one input has numbers and text, which one array cannot hold."""
    text = [column.dtype.kind in "OSU" for column in columns]
    if any(text) and not all(text):
        raise ValueError(
            "A table for one input must hold numbers alone or text alone; a model with named inputs takes "
            f"columns of both. Received: columns of {sorted({str(column.dtype) for column in columns})}"
        )
