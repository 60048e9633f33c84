"""Which numbers are fit for an update."""

import tensorflow as tf

from mtl_zoo.training.columns import are_stacked

LARGEST_SQUARE = 1e36  # a hundredth of what float32 holds, since optimizers add up squares


def not_finite(gradients):
    """Return whether a number among gradients, of which any may be `None`, is not finite or too large.

    Too large is what an optimizer cannot square: the sum of all squares must stay below `LARGEST_SQUARE`.
    """
    squares = [sum_of_squares(g) for g in gradients if g is not None]
    return bad_squares(tf.add_n(squares)) if squares else tf.zeros((), tf.bool)


def bad_squares(squares):
    """Return which sums of squares tell that a number is not finite or too large.

    Not `~(squares < LARGEST_SQUARE)`, of which TensorFlow's graphs make a `>=`, which NaN does not fulfil.
    """
    return ~tf.math.is_finite(squares) | (squares >= LARGEST_SQUARE)


def bad_tasks(found, num_tasks):
    """Return which tasks have a gradient that is not finite or too large, `[T]`; one may have none at all.

    Args:
        found: List of columns, as in `columns`.
        num_tasks: T.
    """
    stacked = [column for column in found if are_stacked(column)]
    rows = list(zip(*(column for column in found if not are_stacked(column)), strict=True))
    squares = [_total_of_row(row) for row in rows] or tf.zeros(num_tasks)
    return bad_squares(tf.add_n([tf.stack(squares), *map(_squares, stacked)]))


def sum_of_squares(gradient):
    """Return the sum of squares of a gradient, a float32 scalar; of a sparse one those of its slices."""
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return 2.0 * tf.cast(tf.nn.l2_loss(values), tf.float32)


def all_finite(tensors):
    """Return whether all numbers are finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


def _total_of_row(row):
    return tf.add_n([tf.zeros(()), *[sum_of_squares(g) for g in row if g is not None]])


def _squares(column):
    """Return the sum of squares of each gradient of a stacked column, `[T]`."""
    axes = list(range(1, len(column.shape)))
    return tf.cast(tf.reduce_sum(tf.square(column), axes), tf.float32)
