"""Which numbers are fit for an update."""

import tensorflow as tf

LARGEST_SQUARE = 1e36  # a hundredth of what float32 holds, since optimizers add up squares


def not_finite(gradients):
    """Return whether a number among gradients, of which any may be `None`, is not finite or too large.

    Too large is what an optimizer cannot square: the sum of all squares must stay below `LARGEST_SQUARE`.
    """
    found = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]
    halves = [tf.cast(tf.nn.l2_loss(g), tf.float32) for g in found]
    return bad_squares(2.0 * tf.add_n(halves)) if halves else tf.zeros((), tf.bool)


def bad_squares(squares):
    """Return which sums of squares tell that a number is not finite or too large.

    Not `~(squares < LARGEST_SQUARE)`, of which TensorFlow's graphs make a `>=`, which NaN does not fulfil.
    """
    return ~tf.math.is_finite(squares) | (squares >= LARGEST_SQUARE)


def bad_rows(rows):
    """Return which tasks have a gradient that is not finite or too large, `[T]`; one may have none at all."""
    return tf.stack([not_finite([tf.zeros(()), *row]) for row in rows])


def all_finite(tensors):
    """Return whether all numbers are finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])
