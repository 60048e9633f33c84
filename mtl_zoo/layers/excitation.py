"""Squeeze and excitation."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class Excitation(keras.layers.Layer):
    """Gates the channels of features by what they are on average: `x * sigmoid(mean(x) @ kernel + bias)`.

    Call arguments:
        x: Features `[batch, ..., channels]`, averaged over all positions.
        mask: Boolean tensor `[batch, length]`, false at positions of a sequence that do not count. Defaults
            to the Keras mask of `x`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> Excitation()(np.zeros((2, 5, 4))).shape
    TensorShape([2, 5, 4])

    Reference:
        [Hu et al., 2018](https://arxiv.org/abs/1709.01507)

    Note:
        One dense layer instead of the paper's two.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the dense layer's weights."""
        channels = input_shape[-1]
        self.kernel = self.add_weight((channels, channels), name="kernel")
        self.bias = self.add_weight((channels,), "zeros", name="bias")

    def call(self, x, mask=None):
        """Return the gated features."""
        positions = tuple(range(1, len(x.shape) - 1))
        if mask is None:
            squeezed = ops.mean(x, axis=positions, keepdims=True) if positions else x
        else:
            weights = ops.cast(mask, x.dtype)[..., None]
            total = ops.sum(weights * x, axis=1, keepdims=True)
            squeezed = ops.divide_no_nan(total, ops.sum(weights, axis=1, keepdims=True))
        return x * ops.sigmoid(ops.matmul(squeezed, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape):
        """Return the shape of the features."""
        return input_shape
