"""Stages on the columns of a table."""

import functools

import keras
import numpy as np
from keras import layers, ops

from mtl_zoo import arguments
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


def tabular(data, *units, embedding_dim=8, activation="relu", dropout=0.0):
    """Return a stage that turns columns into a vector, and one dense stage per size.

    Numbers (columns of floats) are normalized to mean 0 and variance 1; a missing one (NaN) becomes the mean.
    Categories (columns of integers, booleans or strings) are embedded. Both are adapted on `data` now, in one
    pass that keeps moments and vocabularies alone; every call of the stage makes fresh embeddings.

    Args:
        data: What to adapt on, training examples only: dict of arrays `[rows]` or `[rows, 1]` by column; or a
            `tf.data.Dataset` or list of such dicts, or of tuples that begin with one.
        *units: Number of units of each dense stage.
        embedding_dim: Size of a category's vector. Defaults to 8.
        activation: Activation after each dense layer. Defaults to `"relu"`.
        dropout: Fraction of units dropped after each dense stage in training. Defaults to 0.

    Returns:
        List of `1 + len(units)` stages, the first from a dict of columns `[batch]` or `[batch, 1]` to a
        vector: the numbers, then the categories, each in the order of the data.

    Raises:
        ValueError: If there is no row, a batch or the inputs have other columns than the first batch, or a
            column has another shape, infinite numbers, or what is neither a number nor a string.

    Example:

    >>> data = {"age": np.array([20.0, 40.0]), "job": np.array(["nurse", "pilot"])}
    >>> mz.encoders.encode(tabular_inputs(data), tabular(data, 16), "shared").shape
    (None, 16)

    Note:
        All categories that `data` lacks share one vector. It learns only where training has examples of them.

        Keras' lookups of categories do not compile with XLA: a model that has one trains without it, with
        `jit_compile=True` after a warning. A table of numbers alone compiles. Keras' `fit` takes strings from
        a `tf.data.Dataset`, not from NumPy arrays.
    """
    embedding_dim = arguments.integer("embedding_dim", embedding_dim, 1, arguments.UNITS)
    dense = mlp(*units, activation=activation, dropout=dropout)
    columns = _adapt(data)
    first = functools.partial(_stage, columns=columns, embedding_dim=embedding_dim)
    return [first, *dense]


def tabular_inputs(data):
    """Return the inputs of a model on the columns of `data`.

    Args:
        data: As for `tabular`; its first batch is read.

    Returns:
        Dict of `keras.Input`s by column, each `[batch, 1]`: float32, int64 or string.

    Raises:
        ValueError: As for `tabular`.
    """
    batch = next(_batches(data), {})
    _check_columns(batch, batch)
    return {
        name: keras.Input((1,), dtype=DTYPES[column.dtype.kind], name=name) for name, column in batch.items()
    }


class _Numbers:
    """Moments of a column, merged batch by batch without cancellation (Chan et al., 1979)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, column):
        column = column[~np.isnan(column)].astype("float64")
        if len(column):
            count, mean = self.count + len(column), column.mean()
            shift = mean - self.mean
            self.squares += np.square(column - mean).sum() + shift**2 * self.count * len(column) / count
            self.mean += shift * len(column) / count
            self.count = count

    def __call__(self, x, name, embedding_dim):
        """Return the normalized column; a constant one is 0."""
        variance = self.squares / max(self.count, 1)
        if variance <= (1e-7 * self.mean) ** 2:  # below the resolution of float32
            variance = 1.0
        x = layers.Reshape((1,), dtype="float32", name=f"{name}_column")(x)  # half precision loses years
        x = layers.Normalization(
            mean=[self.mean], variance=[variance], dtype="float32", name=f"{name}_normalized"
        )(x)
        return ops.where(ops.isnan(x), ops.zeros_like(x), x)


class _Categories:
    """Vocabulary of a column."""

    def __init__(self):
        self.vocabulary = set()

    def add(self, column):
        self.vocabulary.update(map(_decode, set(column.tolist())))

    def __call__(self, x, name, embedding_dim):
        """Return the embedded column."""
        vocabulary = sorted(self.vocabulary)
        is_text = isinstance(vocabulary[0], str)
        unknown = vocabulary[-1] + ("?" if is_text else 1)  # Keras would take this word as unknown
        lookup = (layers.StringLookup if is_text else layers.IntegerLookup)(
            vocabulary=vocabulary, oov_token=unknown, name=f"{name}_lookup"
        )
        x = layers.Embedding(len(vocabulary) + 1, embedding_dim, name=f"{name}_embedding")(lookup(x))
        return layers.Reshape((embedding_dim,), name=f"{name}_vector")(x)


def _adapt(data):
    """Return a dict from columns to `_Numbers` and `_Categories`, from one pass over the data."""
    columns = {}
    for batch in _batches(data):
        columns = columns or {
            name: _Numbers() if column.dtype.kind == "f" else _Categories() for name, column in batch.items()
        }
        _check_columns(batch, columns)
        for name, column in batch.items():
            columns[name].add(column)
    _check_columns(columns, columns)
    return columns


def _batches(data):
    """Yield dicts of arrays `[rows]` by column, without batches that have no row."""
    for batch in [data] if isinstance(data, dict) else data:
        columns = batch[0] if isinstance(batch, tuple) else batch
        if not isinstance(columns, dict):
            raise ValueError(f"`data` must hold dicts of columns. Received: {type(columns).__name__}")
        columns = {name: _column(name, np.asarray(column)) for name, column in columns.items()}
        if len({len(column) for column in columns.values()}) > 1:
            lengths = {name: len(column) for name, column in columns.items()}
            raise ValueError(f"All columns must have the same number of rows. Received: {lengths}")
        if any(map(len, columns.values())):
            yield columns


def _column(name, column):
    """Return a valid column as an array `[rows]`."""
    if not (column.ndim == 1 or (column.ndim == 2 and column.shape[1] == 1)):
        raise ValueError(f"Column '{name}' must have the shape [rows] or [rows, 1]. Received: {column.shape}")
    column = column.reshape(-1)
    kind, found = column.dtype.kind, f"an array of {column.dtype}"
    if kind == "O":
        wrong = [x for x in column if not isinstance(x, (str, bytes))]
        kind, found = "V" if wrong else kind, f"{wrong[:1]} among objects"
    if kind not in DTYPES:
        raise ValueError(f"Column '{name}' must hold numbers or strings. Received: {found}")
    if kind == "f" and np.isinf(column).any():
        raise ValueError(f"The numbers of column '{name}' must be finite or NaN. Received: infinite ones")
    return column.astype("int64") if DTYPES[kind] == "int64" else column


def _decode(word):
    return word.decode() if isinstance(word, bytes) else word


def _check_columns(found, wanted):
    if not wanted:
        raise ValueError("`data` must have at least one row and one column. Received: none")
    if not isinstance(found, dict) or set(found) != set(wanted):
        given = sorted(found) if isinstance(found, dict) else found
        raise ValueError(
            f"The columns must be {sorted(wanted)}, as in the data to adapt on. Received: {given}"
        )


def _stage(x, name, columns, embedding_dim):
    _check_columns(x, columns)
    numbers_first = sorted(columns.items(), key=lambda item: isinstance(item[1], _Categories))
    parts = [column(x[key], f"{name}_{key}", embedding_dim) for key, column in numbers_first]
    return layers.Concatenate(name=f"{name}_concatenate")(parts) if len(parts) > 1 else parts[0]
