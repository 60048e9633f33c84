"""Squeeze and excitation."""

import keras
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.layers.sequence_average import average


@keras.saving.register_keras_serializable("mtl_zoo")
class SqueezeExcitation(keras.layers.Layer):
    """Gates channels by what they are on average: `x * sigmoid(W2 relu(W1 average(x)))`, with biases.

    Args:
        reduction: Channels per unit of the layer between. Defaults to 16. There are at least 8 units.

    Call arguments:
        x: Tensor `[batch, ..., channels]`, averaged over all axes between.
        mask: Boolean tensor `[batch, ...]`, false at positions to leave out of the average. Defaults to the
            Keras mask of `x`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> SqueezeExcitation()(np.zeros((2, 4, 4, 16))).shape
    TensorShape([2, 4, 4, 16])

    Reference:
        [Hu et al., 2018](https://arxiv.org/abs/1709.01507)

    Note:
        The paper has no minimum of units.
    """

    def __init__(self, reduction=16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = arguments.integer("reduction", reduction, 1, arguments.UNITS)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the two dense layers."""
        channels = input_shape[-1]
        units = max(channels // self.reduction, 8)
        self.squeeze = layers.Dense(units, activation="relu", dtype=self.dtype_policy, name="squeeze")
        self.excite = layers.Dense(channels, activation="sigmoid", dtype=self.dtype_policy, name="excite")
        self.squeeze.build((None, channels))
        self.excite.build((None, units))

    def call(self, x, mask=None):
        """Return the gated tensor."""
        summary = average(x, mask) if len(x.shape) > 2 else x
        gate = self.excite(self.squeeze(summary))
        return x * ops.reshape(gate, (-1, *[1] * (len(x.shape) - 2), x.shape[-1]))

    def compute_output_shape(self, input_shape):
        """Return the shape of the tensor."""
        return input_shape
