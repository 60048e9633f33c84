"""Gradients of tables of which a batch looks up some rows: `tf.IndexedSlices`, never of the table's size.

The gradient of an embedding has a slice for every lookup. Where all gradients of a variable are such, so are
their sums, with one slice per row.

A gradient of several parts of a batch has an axis for them: a dense one in front, a sparse one behind that of
the rows.
"""

from typing import NamedTuple

import tensorflow as tf

from mtl_zoo.table_rows import unique
from mtl_zoo.table_rows import without_duplicates as without_duplicates


class Column(NamedTuple):
    """The gradients of one source by several tasks, as tensors of one shape.

    Args:
        tensors: List of one tensor per task, `None` where it does not reach the source: all elements, or of a
            table the rows that any task looked up.
        indices: Which rows, or `None` for all elements.
        dense_shape: Shape of the table, or `None`.
    """

    tensors: list
    indices: tf.Tensor | None = None
    dense_shape: tf.Tensor | None = None

    def gradient(self, direction):
        """Return what has the tensors' shape, but for the axis of parts, as a gradient of the source."""
        if self.indices is None:
            return direction
        return tf.IndexedSlices(direction, self.indices, self.dense_shape)


def column(gradients, parts=False, dense=False):
    """Return the `Column` of some gradients, with the axis of parts in front.

    Args:
        gradients: List of one gradient (or `None`) per task, not all `None`.
        parts: Whether they have an axis of parts. Defaults to `False`.
        dense: Whether all elements are wanted, whatever the gradients are. Defaults to `False`.
    """
    if dense or not _are_rows(gradients):
        return Column([_dense(gradient, parts) for gradient in gradients])
    slices = united(gradients)
    first = next(g for g in slices if g is not None)
    tensors = [None if g is None else _parts_first(g.values, parts) for g in slices]
    return Column(tensors, first.indices, _without_parts(first.dense_shape, parts))


def united(gradients):
    """Return gradients of one table with a slice for every row that any of them has, the same for all.

    Args:
        gradients: List of `tf.IndexedSlices`, of which some may be `None`.
    """
    found = [g for g in gradients if g is not None]
    lists = [tf.cast(g.indices, _index_dtype(found)) for g in found]
    distinct = {_origin(indices): indices for indices in lists}  # nearly always one
    rows, places = unique(tf.concat(list(distinct.values()), axis=0))
    parts = tf.split(places, [tf.size(indices) for indices in distinct.values()])
    place_of = dict(zip(distinct, parts, strict=True))
    summed = iter(
        tf.math.unsorted_segment_sum(g.values, place_of[_origin(indices)], tf.size(rows))
        for g, indices in zip(found, lists, strict=True)
    )
    return [None if g is None else tf.IndexedSlices(next(summed), rows, g.dense_shape) for g in gradients]


def total(gradients):
    """Add gradients of one variable, none of them `None`; a sum of sparse ones has one slice per row."""
    if not _are_rows(gradients):
        return tf.add_n(list(map(tf.convert_to_tensor, gradients)))
    lists = [tf.cast(g.indices, _index_dtype(gradients)) for g in gradients]
    values = tf.concat([g.values for g in gradients], axis=0)
    return without_duplicates(tf.IndexedSlices(values, tf.concat(lists, axis=0), gradients[0].dense_shape))


def stack(gradients):
    """Stack the gradients of parts of a batch, none of them `None`, along an axis of parts."""
    if not _are_rows(gradients):
        return tf.stack(list(map(tf.convert_to_tensor, gradients)))
    slices = united(gradients)
    shape = slices[0].dense_shape
    shape = None if shape is None else tf.concat([shape[:1], [len(slices)], shape[1:]], axis=0)
    return tf.IndexedSlices(tf.stack([g.values for g in slices], axis=1), slices[0].indices, shape)


def combine_parts(gradient, shares):
    """Return the sum of the parts of a gradient times their shares `[parts]`."""
    if isinstance(gradient, tf.IndexedSlices):
        values = combine_parts(_parts_first(gradient.values, True), shares)
        return tf.IndexedSlices(values, gradient.indices, _without_parts(gradient.dense_shape, True))
    return tf.tensordot(tf.cast(shares, gradient.dtype), gradient, axes=1)


def times(gradient, factor):
    """Multiply a gradient, which may be `None` or sparse and stays so, by a number."""
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(times(gradient.values, factor), gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(factor, gradient.dtype)


def _are_rows(gradients):
    """Return whether all gradients, of which any may be `None`, are sparse."""
    return all(isinstance(g, tf.IndexedSlices) for g in gradients if g is not None)


def _dense(gradient, parts):
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    return _parts_first(tf.convert_to_tensor(gradient), parts)


def _parts_first(values, parts):
    """Return values of rows with the axis of parts, if there is one, in front of that of the rows."""
    return tf.transpose(values, [1, 0, *range(2, values.shape.rank)]) if parts else values


def _without_parts(shape, parts):
    return tf.concat([shape[:1], shape[2:]], axis=0) if parts and shape is not None else shape


def _index_dtype(gradients):
    dtypes = {g.indices.dtype for g in gradients}
    return dtypes.pop() if len(dtypes) == 1 else tf.int64


def _origin(indices):
    """Return what is equal for equal lists of indices: the gradient of each task flattens the same lookup's.

    Lists that come out of the same lookups otherwise, and those of eager execution, count as different.
    """
    op = getattr(indices, "op", None)
    if op is not None and op.type == "Reshape":
        return _origin(op.inputs[0])
    if op is not None and op.type == "ConcatV2" and indices.shape.rank == 1:
        return (indices.dtype, *map(_origin, op.inputs[:-1]))
    return id(indices)
