"""The mixture of a network's stages."""

import keras
import numpy as np

from mtl_zoo import arguments
from mtl_zoo.layers._mixing import add_constant_weight


@keras.saving.register_keras_serializable("mtl_zoo")
class StageMixture(keras.layers.Layer):
    """Sums the features of several stages with one learned weight each: `y = sum_l kernel[l] * x_l`.

    Args:
        last: Initial weight of the last stage; the others share `1 - last` evenly. Defaults to 0.9.

    Call arguments:
        stages: List of tensors of one shape.

    Returns:
        Tensor of that shape.

    Example:

    >>> StageMixture()([np.array([[1.0]]), np.array([[10.0]])]).numpy()
    array([[9.1]], dtype=float32)

    Reference:
        [Ruder et al., 2019](https://arxiv.org/abs/1705.08142), whose betas these are
    """

    def __init__(self, last=0.9, **kwargs):
        super().__init__(**kwargs)
        self.last = arguments.number("last", last)
        self.supports_masking = True

    def build(self, input_shape):
        """Create a weight per stage."""
        others = len(input_shape) - 1
        kernel = np.array([(1.0 - self.last) / others] * others + [self.last]) if others else np.ones(1)
        self.kernel = add_constant_weight(self, "kernel", kernel)

    def call(self, stages):
        """Return the weighted sum."""
        return sum(self.kernel[index] * x for index, x in enumerate(stages))

    def compute_mask(self, inputs, mask=None):
        """Return the last stage's mask."""
        return None if mask is None else mask[-1]

    def compute_output_shape(self, input_shape):
        """Return the shape of a stage."""
        return input_shape[-1]
