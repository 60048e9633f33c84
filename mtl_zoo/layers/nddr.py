"""Neural discriminative dimensionality reduction."""

import keras
import numpy as np
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.layers._mixing import add_constant_weight, check_same_shape, mixing_matrix


@keras.saving.register_keras_serializable("mtl_zoo")
class NDDR(keras.layers.Layer):
    """Concatenates the channels of T towers and reduces them, for each tower, by a linear map of its own.

    This is the paper's 1x1 convolution, for features of any rank. The map starts at `diagonal` times the
    tower's own channels plus `(1 - diagonal) / (T - 1)` times those of each other one.

    Args:
        diagonal: Initial weight of a tower's own channels. Defaults to 0.9.

    Call arguments:
        towers: List of T tensors of one shape `[batch, ..., channels]`.

    Returns:
        List of T tensors of the same shape.

    Raises:
        ValueError: If the tensors' shapes differ.

    Example:

    >>> left, right = NDDR()([np.ones((1, 3)), np.zeros((1, 3))])
    >>> np.round([left[0, 0], right[0, 0]], 3)
    array([0.9, 0.1], dtype=float32)

    Reference:
        [Gao et al., 2019](https://arxiv.org/abs/1801.08297)
    """

    def __init__(self, diagonal=0.9, **kwargs):
        super().__init__(**kwargs)
        self.diagonal = arguments.number("diagonal", diagonal)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the kernel `[T, T * channels, channels]`."""
        check_same_shape(input_shape)
        weights, channels = mixing_matrix(len(input_shape), self.diagonal), np.eye(input_shape[0][-1])
        kernel = np.stack([np.kron(row[:, np.newaxis], channels) for row in weights])
        self.kernel = add_constant_weight(self, "kernel", kernel)

    def call(self, towers):
        """Return the reduced features of each tower."""
        together = ops.concatenate(towers, axis=-1)
        return [ops.matmul(together, kernel) for kernel in ops.unstack(self.kernel)]

    def compute_output_shape(self, input_shape):
        """Return the towers' shapes."""
        return input_shape
