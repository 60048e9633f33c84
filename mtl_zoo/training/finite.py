"""Which numbers are fit for an update."""

import tensorflow as tf

from mtl_zoo.training import columns

LARGEST_SQUARE = 1e36  # a hundredth of what float32 holds, since optimizers add up squares


def not_finite(gradients):
    """Return whether a number among gradients, of which any may be `None`, is not finite or too large.

    Too large is what an optimizer cannot square: the sum of all squares must stay below `LARGEST_SQUARE`.
    """
    halves = [_half(g) for g in gradients if g is not None]
    return bad_squares(2.0 * tf.add_n(halves)) if halves else tf.zeros((), tf.bool)


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
    squares = [_squares(column) for column in found]
    return bad_squares(tf.add_n([tf.zeros(num_tasks), *squares]))


def all_finite(tensors):
    """Return whether all numbers are finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


def _squares(column):
    """Return the sums of squares of a column, `[T]`."""
    if columns.are_stacked(column):
        axes = list(range(1, len(column.shape)))
        return tf.cast(tf.reduce_sum(tf.square(column), axes), tf.float32)
    return tf.stack([2.0 * _half(g) for g in column])


def _half(gradient):
    """Return half the sum of squares of a gradient, which may be sparse or `None`."""
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.zeros(()) if gradient is None else tf.cast(tf.nn.l2_loss(values), tf.float32)
