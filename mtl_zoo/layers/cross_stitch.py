"""The cross-stitch unit."""

import keras
import numpy as np
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.layers._mixing import add_constant_weight, check_same_shape, mixing_matrix


@keras.saving.register_keras_serializable("mtl_zoo")
class CrossStitch(keras.layers.Layer):
    """Mixes the activations of T towers linearly: `y_i = sum_j kernel[i, j] * x_j`.

    The kernel starts at `diagonal` for a tower's own activations, with `1 - diagonal` shared evenly among
    the others', so activations keep their scale and every tower starts as its own.

    Args:
        per_channel: Whether every channel has its own `[T, T]` matrix, or all share one. Defaults to `True`.
        diagonal: Initial weight of a tower's own activations. Defaults to 0.9.

    Call arguments:
        towers: List of T tensors of one shape `[batch, ..., channels]`.

    Returns:
        List of T tensors of the same shape.

    Raises:
        ValueError: If the tensors' shapes differ.

    Example:

    >>> unit = CrossStitch(per_channel=False)
    >>> left, right = unit([np.ones((1, 3)), np.zeros((1, 3))])
    >>> np.round([left[0, 0], right[0, 0]], 3)
    array([0.9, 0.1], dtype=float32)

    Reference:
        [Misra et al., 2016](https://arxiv.org/abs/1604.03539)
    """

    def __init__(self, per_channel=True, diagonal=0.9, **kwargs):
        super().__init__(**kwargs)
        self.per_channel = arguments.flag("per_channel", per_channel)
        self.diagonal = arguments.number("diagonal", diagonal)
        self.supports_masking = True

    def build(self, input_shape):
        check_same_shape(input_shape)
        matrix = mixing_matrix(len(input_shape), self.diagonal)
        channels = input_shape[0][-1] if self.per_channel else 1
        self.kernel = add_constant_weight(self, "kernel", np.repeat(matrix[:, :, None], channels, axis=2))

    def call(self, towers):
        stacked = ops.stack(towers, axis=0)
        broadcast = (-1, *[1] * (len(towers[0].shape) - 1), self.kernel.shape[-1])
        return [ops.sum(ops.reshape(row, broadcast) * stacked, axis=0) for row in ops.unstack(self.kernel)]

    def compute_output_shape(self, input_shape):
        return input_shape
