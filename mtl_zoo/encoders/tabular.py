"""Stages on the columns of a table."""

import functools
import math

import keras
import numpy as np
from absl import logging
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.encoders import _categories
from mtl_zoo.encoders._categories import MISSING as MISSING
from mtl_zoo.encoders._categories import Categories
from mtl_zoo.encoders.column import columns_of, lists_of
from mtl_zoo.encoders.mlp import mlp

DTYPES = {
    "f": "float32",
    "i": "int64",
    "u": "int64",
    "b": "int64",
    "U": "string",
    "S": "string",
    "O": "string",
}


def tabular(data, *units, embedding_dim=8, activation="relu", dropout=0.0, numbers=(), columns=None):
    """Return a stage that turns columns into a vector, and one dense stage per size.

    Numbers (columns of floats, and of integers in `numbers`) are normalized to mean 0 and variance 1; a
    missing one (NaN, or -2**63 among integers) becomes the mean. Categories (columns of other integers,
    booleans or strings) are embedded; integers keep their value up to 64 bits, so that no two ids are one.
    A missing category (`""`, or -2**63) is a category like others. Both are adapted on `data` now, in one
    pass that keeps moments and vocabularies alone; every call of the stage makes fresh embeddings.

    Args:
        data: What to adapt on, training examples only: dict of arrays `[rows]` or `[rows, 1]` by column; or a
            `tf.data.Dataset` or list of such dicts, or of tuples that begin with one.
        *units: Number of units of each dense stage.
        embedding_dim: Size of a category's vector. Defaults to 8.
        activation: Activation after each dense layer. Defaults to `"relu"`.
        dropout: Fraction of units dropped after each dense stage in training. Defaults to 0.
        numbers: Names of columns of integers that measure something, rather than name it. Defaults to none.
        columns: Dict from names of columns of categories to a `Column`, or a dict of its arguments, which
            says how they are embedded: hashed, from a table that several columns share, or as lists. A list
            of several makes as many vectors of a column. Defaults to `None`: each is embedded by itself.

    Returns:
        List of `1 + len(units)` stages, the first from a dict of columns, `[batch]` or `[batch, 1]`, of lists
        `[batch, length]`, to a vector: the numbers, then the categories, each in the order of the data.

    Raises:
        ValueError: If there is no row, a batch or the inputs have other columns than the first batch, or a
            column has another shape, infinite numbers, or what is neither a number nor a string; if one in
            `numbers` is not there, holds words, or integers beyond 2**62; or if one in `columns` is not
            there, is one of numbers, or does not suit those with which it shares a table or a query.

    Example:

    >>> data = {"age": np.array([20.0, 40.0]), "job": np.array(["nurse", "pilot"])}
    >>> mz.encoders.encode(tabular_inputs(data), tabular(data, 16), "shared").shape
    (None, 16)

    Note:
        Lists are padded to one length, anywhere, with `""` or 0 (as `tf.RaggedTensor.to_tensor` pads), which
        is no id in a list; an empty list becomes zeros. `data` may have them ragged.

        All categories that `data` lacks share one vector. It learns only where training has examples of them,
        and is else the small random one that it starts as. The same holds for missing categories, if `data`
        has none: where they may come later, let some be missing in training too.

        Floats are float32: where a column's values differ too little for it, such as seconds of one hour in a
        count since 1970, a warning says so. Integers in `numbers` are exact.

        Keras' lookups of categories do not compile with XLA: a model that has one trains without it, with
        `jit_compile=True` after a warning. A table of numbers alone compiles. Keras' `fit` takes strings from
        a `tf.data.Dataset`, not from NumPy arrays.
    """
    embedding_dim = arguments.integer("embedding_dim", embedding_dim, 1, arguments.UNITS)
    dense = mlp(*units, activation=activation, dropout=dropout)
    columns = _adapt(data, arguments.texts("numbers", numbers), columns_of(columns))
    _categories.check(_of_categories(columns), embedding_dim)
    first = functools.partial(_stage, columns=columns, embedding_dim=embedding_dim)
    return [first, *dense]


def tabular_inputs(data, columns=None):
    """Return the inputs of a model on the columns of `data`.

    Args:
        data: As for `tabular`; its first batch is read.
        columns: As for `tabular`, which says which columns hold lists. Defaults to `None`: none.

    Returns:
        Dict of `keras.Input`s by column, each `[batch, 1]`, of lists `[batch, length]`: float32, int64 or
        string.

    Raises:
        ValueError: As for `tabular`.
    """
    lists = lists_of(columns_of(columns))
    batch = next(_batches(data, lists), {})
    _check_columns(batch, batch)
    return {
        name: keras.Input((None if name in lists else 1,), dtype=DTYPES[column.dtype.kind], name=name)
        for name, column in batch.items()
    }


def warn_of_resolution(name, values):
    """Warn where float32, of seven digits, leaves less than a hundred steps per deviation of the values.

    Args:
        name: What the values are.
        values: Float64 array; NaN where missing.
    """
    column = _Numbers()
    column.add(values)
    column.warn(name)


class _Numbers:
    """Moments of a column, merged batch by batch without cancellation (Chan et al., 1979).

    Those of integers are of their exact differences from one in the middle, the origin.
    """

    def __init__(self):
        self.count, self.mean, self.squares, self.origin = 0, 0.0, 0.0, 0

    def add(self, column):
        column = self._from_origin(column)
        if len(column):
            count, mean = self.count + len(column), column.mean()
            shift = mean - self.mean
            self.squares += np.square(column - mean).sum() + shift**2 * self.count * len(column) / count
            self.mean += shift * len(column) / count
            self.count = count

    def warn(self, name):
        deviation = math.sqrt(self.squares / max(self.count, 1))
        if 1e-12 * abs(self.mean) < deviation < 1e-5 * abs(self.mean):
            logging.warning(
                "%s differ by about %.3g around %.9g, too little for float32: subtract a constant from them.",
                *(name, deviation, self.mean),
            )

    def __call__(self, x, name):
        """Return the normalized column; a constant one is 0."""
        variance = self.squares / max(self.count, 1)
        if variance <= (1e-7 * self.mean) ** 2:  # below the resolution of float32
            variance = 1.0
        x = layers.Reshape((1,), dtype="float32", name=f"{name}_column")(x)  # half precision loses years
        mean = self.mean
        if "int" in x.dtype:
            x = ops.cast(x, "int64")
            missing, x = ops.equal(x, MISSING), ops.cast(ops.subtract(x, self.origin), "float32")
        else:
            missing, mean = ops.isnan(x), mean + self.origin
        x = layers.Normalization(
            mean=[mean], variance=[variance], dtype="float32", name=f"{name}_normalized"
        )(x)
        return ops.where(missing, ops.zeros_like(x), x)

    def _from_origin(self, column):
        """Return the numbers that are there, in float64; of integers the differences from the origin."""
        if column.dtype.kind == "f":
            return column[~np.isnan(column)].astype("float64")
        column = column[column != MISSING]
        if len(column) and not self.count:
            self.origin = int(np.sort(column)[len(column) // 2])
        return (column - self.origin).astype("float64")


def _adapt(data, numbers, given):
    """Return a dict from columns to `_Numbers` and `Categories`, from one pass over the data."""
    columns = {}
    for batch in _batches(data, lists_of(given)):
        columns = columns or _empty(batch, numbers, given)
        _check_columns(batch, columns)
        _check_numbers(batch, numbers)
        for name, column in batch.items():
            columns[name].add(column)
    _check_columns(columns, columns)
    for name, column in columns.items():
        if isinstance(column, _Numbers):
            column.warn(f"The numbers of column '{name}'")
    return columns


def _empty(batch, numbers, given):
    """Return a dict from columns to `_Numbers` and `Categories` of nothing yet."""
    measured = [name for name, column in batch.items() if column.dtype.kind == "f" or name in numbers]
    wrong = [name for name in given if name not in batch or name in measured]
    if wrong:
        raise ValueError(
            f"`columns` must name columns of categories, among {[x for x in batch if x not in measured]}. "
            f"Received: {wrong}"
        )
    return {
        name: _Numbers() if name in measured else Categories(given.get(name, _categories.plain()))
        for name in batch
    }


def _of_categories(columns):
    return {name: column for name, column in columns.items() if isinstance(column, Categories)}


def _batches(data, lists):
    """Yield dicts of arrays `[rows]`, of lists `[rows, length]`, without batches that have no row."""
    for batch in [data] if isinstance(data, dict) else data:
        columns = batch[0] if isinstance(batch, tuple) else batch
        if not isinstance(columns, dict):
            raise ValueError(f"`data` must hold dicts of columns. Received: {type(columns).__name__}")
        columns = {name: _column(name, column, name in lists) for name, column in columns.items()}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = {name: len(column) for name, column in columns.items()}
            raise ValueError(f"All columns must have the same number of rows. Received: {lengths}")
        if any(map(len, columns.values())):
            yield columns


def _column(name, column, is_list):
    """Return a valid column as an array `[rows]`, or `[rows, length]` of lists."""
    column = _categories.as_lists(name, column) if is_list else _of_rows(name, column)
    kind, found = column.dtype.kind, f"an array of {column.dtype}"
    if kind == "O":
        wrong = [x for x in column.flat if not isinstance(x, (str, bytes))]
        kind, found = "V" if wrong else kind, f"{wrong[:1]} among objects"
    if kind not in DTYPES:
        raise ValueError(f"Column '{name}' must hold numbers or strings. Received: {found}")
    if kind == "f" and np.isinf(column).any():
        raise ValueError(f"The numbers of column '{name}' must be finite or NaN. Received: infinite ones")
    if kind == "u" and (column > np.iinfo("int64").max).any():
        raise ValueError(f"The integers of column '{name}' must be below 2**63. Received: {column.max()}")
    return column.astype("int64") if DTYPES[kind] == "int64" else column


def _of_rows(name, column):
    """Return a column of one value per row as an array `[rows]`."""
    column = np.asarray(getattr(column, "to_tensor", lambda: column)())
    if not (column.ndim == 1 or (column.ndim == 2 and column.shape[1] == 1)):
        raise ValueError(
            f"Column '{name}' must have the shape [rows] or [rows, 1]; lists of categories need `pooling` in "
            f"`columns`. Received: {column.shape}"
        )
    return column.reshape(-1)


def _check_columns(found, wanted):
    if not wanted:
        raise ValueError("`data` must have at least one row and one column. Received: none")
    if not isinstance(found, dict) or set(found) != set(wanted):
        given = sorted(found) if isinstance(found, dict) else found
        raise ValueError(
            f"The columns must be {sorted(wanted)}, as in the data to adapt on. Received: {given}"
        )


def _check_numbers(batch, numbers):
    wrong = [name for name in numbers if name not in batch or batch[name].dtype.kind not in "fi"]
    if wrong:
        raise ValueError(
            f"`numbers` must name columns of numbers, among {list(batch)}. Received: numbers={numbers}"
        )
    for name in numbers:
        column = batch[name]
        if column.dtype.kind == "i" and (np.abs(column[column != MISSING]) > 2**62).any():
            raise ValueError(f"The numbers of column '{name}' must be within 2**62. Received: {column}")


def _stage(x, name, columns, embedding_dim):
    _check_columns(x, columns)
    parts = [
        column(x[key], f"{name}_{key}") for key, column in columns.items() if isinstance(column, _Numbers)
    ]
    parts += _categories.vectors(x, name, _of_categories(columns), embedding_dim)
    return layers.Concatenate(name=f"{name}_concatenate")(parts) if len(parts) > 1 else parts[0]
