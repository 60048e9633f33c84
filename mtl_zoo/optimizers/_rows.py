"""Some rows of a variable, read and written in place: nothing here has the size of the variable.

TensorFlow's fused updates of rows are not used: `ResourceSparseApplyAdagradV2` adds epsilon to the root,
Keras to what is under it, and for Adam there is none. The operations take the handle of a variable, which on
a replica is that of its own copy.
"""

import tensorflow as tf


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


def united(gradient):
    """Return a gradient, of rows with one sum for every row; a dense one as it is.

    Args:
        gradient: Tensor, or `tf.IndexedSlices`, which may have many slices for a row.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(indices))
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


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
        return tf.clip_by_global_norm(list(map(united, gradients)), optimizer.global_clipnorm)[0]
    if optimizer.clipnorm or optimizer.clipvalue:
        gradients = list(map(united, gradients))
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
