"""Independent parts of a batch: the labelled items of a task, dealt in turn."""

import tensorflow as tf

from mtl_zoo.training import distribution


def deal(weights, first, number):
    """Deal labelled items to parts: item `k`, counted over the whole batch, to part `k % number`.

    Args:
        weights: Tensor `[items]`: weights of a task's items, 0 where there is no label.
        first: Number of the first labelled item among them, an int32 scalar.
        number: Number of parts.

    Returns:
        List of one tensor `[items]` per part: the weights of its items, 0 for the others.

    Example:

    >>> [part.numpy().tolist() for part in deal(tf.constant([1.0, 0.0, 2.0, 1.0]), 1, 2)]
    [[0.0, 0.0, 2.0, 0.0], [1.0, 0.0, 0.0, 1.0]]
    """
    part = (first + tf.cumsum(tf.cast(weights > 0, tf.int32)) - 1) % number
    return [tf.where(part == index, weights, 0.0) for index in range(number)]


def first_numbers(portions):
    """Return the numbers of the first labelled items, counted over all replicas and portions in order.

    Args:
        portions: List of one list of T tensors `[items]` per portion of this replica, weights as in `deal`.

    Returns:
        Tensor `[portions, T]`, int32.
    """
    found = [[tf.math.count_nonzero(w > 0, dtype=tf.int32) for w in portion] for portion in portions]
    labelled = tf.stack([tf.stack(row) for row in found])
    before = distribution.sum_before(tf.reduce_sum(labelled, axis=0))
    return before + tf.cumsum(labelled, exclusive=True)
