"""The gate of a personalized network."""

import keras
from keras import layers, ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class GateUnit(keras.layers.Layer):
    """Scales channels by what is known beforehand: `x * 2 sigmoid(W2 relu(W1 prior))`, with biases.

    A gate of 1, as a fresh one nearly is, leaves a channel as it is.

    Args:
        units: Number of units between the two dense layers. Defaults to `None`: as many as channels.

    Call arguments:
        inputs: List of the features `[batch, ..., channels]` and of the prior `[batch, size]`.

    Returns:
        Tensor of the shape of the features.

    Raises:
        ValueError: If the number of units is out of range.

    Example:

    >>> GateUnit()([np.ones((2, 7, 4)), np.zeros((2, 3))]).shape
    TensorShape([2, 7, 4])

    Reference:
        [Chang et al., 2023](https://arxiv.org/abs/2302.01115), whose Gate NU this is
    """

    def __init__(self, units=None, **kwargs):
        super().__init__(**kwargs)
        self.units = None if units is None else arguments.integer("units", units, 1, arguments.UNITS)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the two dense layers."""
        features, prior = input_shape
        units = self.units or features[-1]
        self.hidden = layers.Dense(units, activation="relu", dtype=self.dtype_policy, name="hidden")
        self.gate = layers.Dense(features[-1], activation="sigmoid", dtype=self.dtype_policy, name="gate")
        self.hidden.build(prior)
        self.gate.build((None, units))

    def call(self, inputs):
        """Return the scaled features."""
        x, prior = inputs
        gate = 2.0 * self.gate(self.hidden(prior))
        return x * ops.reshape(gate, (-1, *[1] * (len(x.shape) - 2), x.shape[-1]))

    def compute_mask(self, inputs, mask=None):
        """Return the mask of the features."""
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape):
        """Return the shape of the features."""
        return input_shape[0]
