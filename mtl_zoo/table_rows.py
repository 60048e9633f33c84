"""Some rows of a variable, read and written in place: nothing here has the size of the variable.

TensorFlow's fused updates of rows are not used: `ResourceSparseApplyAdagradV2` adds epsilon to the root,
Keras to what is under it, and for Adam there is none. The operations take the handle of a variable, which on
a replica is that of its own copy.
"""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def check(optimizer):
    """Refuse what Keras cannot do with a gradient of rows.

    Raises:
        ValueError: If the optimizer has a fixed `loss_scale_factor`.
    """
    if optimizer.loss_scale_factor is not None:
        raise ValueError(
            f"`loss_scale_factor` of {type(optimizer).__name__} must be `None`, since Keras cannot divide a "
            "gradient of rows by it: put `keras.optimizers.LossScaleOptimizer` around the optimizer. "
            f"Received: loss_scale_factor={optimizer.loss_scale_factor}"
        )


def without_duplicates(gradient):
    """Return a gradient, or `None`; a sparse one with one slice per index.

    An embedding's gradient has a slice for every token. Optimizers that square it, as Adam, must square sums.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices, places = unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(indices))
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


def unique(indices):
    """Return the different ones among indices, in the order of their first places, and which one each is.

    XLA's shapes do not depend on values: there are as many rows as indices, and those too many, with an index
    of -1, at the end. Nothing is added to them and XLA, unlike other kernels, writes to no such row.
    """
    if not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()):
        return tf.unique(indices)
    order = tf.argsort(indices, stable=True)
    ordered = tf.gather(indices, order)
    is_first = tf.concat([[True], ordered[1:] != ordered[:-1]], axis=0)[: tf.size(indices)]
    places = tf.cumsum(tf.cast(is_first, tf.int32)) - 1
    rows = tf.maximum(tf.math.unsorted_segment_max(ordered, places, tf.size(indices)), -1)
    return rows, tf.gather(places, tf.argsort(order))


def clipped(optimizer, gradients, by_keras):
    """Return gradients, clipped as Keras clips dense ones.

    Args:
        optimizer: `keras.optimizers.Optimizer`.
        gradients: List of tensors and `tf.IndexedSlices`.
        by_keras: The method of Keras, which takes every slice for a row of its own, and makes gradients dense
            for a global norm.
    """
    if not any(isinstance(gradient, tf.IndexedSlices) for gradient in gradients):
        return by_keras(gradients)
    if optimizer.global_clipnorm and optimizer.global_clipnorm > 0:  # else Keras does not clip
        return tf.clip_by_global_norm(list(map(without_duplicates, gradients)), optimizer.global_clipnorm)[0]
    if optimizer.clipnorm or optimizer.clipvalue:
        gradients = list(map(without_duplicates, gradients))
    return by_keras(gradients)


def read(variable, indices):
    """Return rows of a variable."""
    return tf.raw_ops.ResourceGather(resource=variable.handle, indices=indices, dtype=variable.dtype)


def write(variable, indices, values):
    """Give rows of a variable, each at most once among the indices, new values."""
    tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=indices, updates=values)


def subtract(variable, indices, values):
    """Subtract values from rows of a variable."""
    tf.raw_ops.ResourceScatterSub(resource=variable.handle, indices=indices, updates=values)
