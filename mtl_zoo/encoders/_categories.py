"""Columns of categories: their vocabularies, and the layers that make vectors of them."""

import dataclasses
import itertools

import numpy as np
from keras import layers, ops

from mtl_zoo.encoders.column import Column, tables_of
from mtl_zoo.layers.attention_pooling import AttentionPooling
from mtl_zoo.layers.embedding import Embedding
from mtl_zoo.layers.sequence_average import SequenceAverage

MISSING = -(2**63)  # in a column of integers; floats have NaN and strings ""
PADDING = (0, MISSING, "")  # in lists


class Categories:
    """Values of a column.

    Args:
        columns: Tuple of `Column`, one for every vector.
    """

    def __init__(self, columns):
        self.columns = columns
        self.vocabulary, self.is_text = set(), None
        self.is_list = columns[0].pooling is not None

    def add(self, column):
        """Add a batch, an array `[rows]` or, of lists, `[rows, length]`."""
        self.is_text = column.dtype.kind not in "iub"
        if any(x.buckets is None for x in self.columns):
            self.vocabulary.update(map(_decode, set(column.ravel().tolist())))
        if self.is_list:
            self.vocabulary.difference_update(PADDING)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of vectors, and how values are found in it.

    Args:
        lookup: Layer from values to rows.
        embedding: Layer from rows to vectors.
        has_padding: Whether row 0 is that of the padding of lists.
    """

    lookup: layers.Layer
    embedding: layers.Layer
    has_padding: bool


def vectors(x, name, categories, embedding_dim):
    """Return the vectors of columns, in a list.

    Args:
        x: Dict of tensors by column.
        name: Prefix of the layers' names.
        categories: Dict from columns to `Categories`.
        embedding_dim: Size of a vector where a `Column` has none.
    """
    names = check(categories, embedding_dim)
    tables = {}
    for column, some in names.items():
        for index, table in enumerate(some):
            if table not in tables:
                users = [categories[key] for key, found in names.items() if table in found]
                tables[table] = _table(table, users, _sized(categories[column], embedding_dim)[index], name)
    found = {}
    for column in sorted(names, key=lambda key: categories[key].is_list):  # queries first
        own = [tables[table] for table in names[column]]
        found[column] = _of_column(x[column], f"{name}_{column}", categories[column], own, found)
    return [vector for column in names for vector in found[column]]


def check(categories, embedding_dim):
    """Return the names of tables, as `tables_of` does, if the columns that share one agree.

    Raises:
        ValueError: If they do not, a `query` is no column of single categories or of another size, or a
            column that is not hashed has no value.
    """
    sized = {name: _sized(column, embedding_dim) for name, column in categories.items()}
    names = tables_of(sized)
    for name in categories:
        for x, table in zip(sized[name], names[name], strict=True):
            users = [other for key, other in categories.items() if table in names[key]]
            if len({user.is_text for user in users}) > 1:
                raise ValueError(f"Columns that share table '{table}' must all hold strings, or integers.")
            if x.buckets is None and not _words(users):
                raise ValueError(
                    f"Column '{name}' must have a value at least, or `buckets`. Received: padding alone"
                )
            _check_query(name, x, sized, categories)
    return names


def _words(users):
    """Return the values of columns that share a table, without what is padding in one of them."""
    words = set().union(*(user.vocabulary for user in users))
    return words.difference(PADDING if any(user.is_list for user in users) else ())


def _check_query(name, column, sized, categories):
    if column.query is None:
        return
    other = categories.get(column.query)
    size = None if other is None or other.is_list else sized[column.query][0].embedding_dim
    if size != column.embedding_dim:
        raise ValueError(
            f"`query` of column '{name}' must name a column of one category per row, with vectors of size "
            f"{column.embedding_dim}. Received: query={column.query!r}"
        )


def _sized(column, embedding_dim):
    """Return the `Column`s of a column, each with a size."""
    return [dataclasses.replace(x, embedding_dim=x.embedding_dim or embedding_dim) for x in column.columns]


def _table(table, users, column, name):
    """Return the `Table` of some columns."""
    has_padding = any(user.is_list for user in users)
    is_text = users[0].is_text
    name = f"{name}_{table}"
    if column.buckets is not None:
        padding = ("" if is_text else 0) if has_padding else None
        size = column.buckets + has_padding
        lookup = layers.Hashing(size, mask_value=padding, name=f"{name}_lookup")
    else:
        vocabulary = sorted(set().union(*(user.vocabulary for user in users)))
        lookup = _lookup(vocabulary, is_text, column.unknown, has_padding, f"{name}_lookup")
        size = lookup.vocabulary_size()
    return Table(lookup, Embedding(size, column.embedding_dim, name=f"{name}_embedding"), has_padding)


def _lookup(vocabulary, is_text, unknown, has_padding, name):
    """Return the layer from values to the places of their vectors."""
    padding = {"mask_token": "" if is_text else 0} if has_padding else {}
    vocabulary = [value for value in vocabulary if value not in padding.values()]
    # Keras would take this word as unknown, so it must be none of the vocabulary.
    free = vocabulary[-1] + "?" if is_text else _free_integer({*vocabulary, *padding.values()})
    layer = layers.StringLookup if is_text else layers.IntegerLookup
    return layer(vocabulary=vocabulary, oov_token=free, num_oov_indices=unknown, name=name, **padding)


def _of_column(x, name, column, tables, found):
    """Return the vectors of one column."""
    made = []
    for index, (table, kind) in enumerate(zip(tables, column.columns, strict=True), start=1):
        given = name if index == 1 else f"{name}.{index}"
        if column.is_list:
            query = None if kind.query is None else found[kind.query][0]
            made.append(_pooled(x, given, table, kind.pooling, query))
        else:
            vector = table.embedding(table.lookup(x))
            made.append(layers.Reshape((vector.shape[-1],), name=f"{given}_vector")(vector))
    return made


def _pooled(x, name, table, pooling, query):
    """Return one vector of the list in every row."""
    if "int" in x.dtype:
        x = ops.where(ops.equal(x, MISSING), ops.zeros_like(x), x)
    rows = ops.pad(table.lookup(x), [[0, 0], [0, 1]])  # so that no list is empty
    mask, x = ops.not_equal(rows, 0), table.embedding(rows)
    if pooling == "mean":
        return SequenceAverage(name=f"{name}_mean")(x, mask=mask)
    if pooling == "sum":
        return ops.sum(ops.where(ops.expand_dims(mask, -1), x, ops.zeros_like(x)), axis=1)
    if pooling == "attention":
        units = x.shape[-1]
        return AttentionPooling(units, name=f"{name}_attention")(x, query=query, mask=mask)
    # The kernel of cuDNN refuses lists that are padded in front.
    return layers.GRU(x.shape[-1], use_cudnn=False, name=f"{name}_gru")(x, mask=mask)


def as_lists(name, column):
    """Return a column of lists as an array `[rows, length]`, padded.

    Args:
        name: Name of the column.
        column: `tf.RaggedTensor`, or array `[rows, length]`.

    Raises:
        ValueError: If it has other axes, holds neither integers nor strings, or a ragged one has an id 0.
    """
    if hasattr(column, "to_tensor"):
        values = np.asarray(column.flat_values)
        if values.dtype.kind in "iu" and not values.all():
            raise ValueError(
                f"The lists of column '{name}' must hold other integers than 0, which is padding. "
                "Received: a list with 0"
            )
        column = column.to_tensor()
    column = np.asarray(column)
    if column.ndim != 2:
        raise ValueError(f"Column '{name}' must have the shape [rows, length]. Received: {column.shape}")
    if column.dtype.kind == "f":
        raise ValueError(f"The lists of column '{name}' must hold integers or strings. Received: floats")
    return column


def plain():
    """Return what a column is about which nothing is said."""
    return (Column(),)


def _free_integer(taken):
    return next(number for number in itertools.count() if number not in taken)


def _decode(word):
    return word.decode() if isinstance(word, bytes) else word
