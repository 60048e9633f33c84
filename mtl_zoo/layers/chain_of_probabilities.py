"""The probability that every event of a chain happens."""

import functools

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class ChainOfProbabilities(keras.layers.Layer):
    """Multiplies the probabilities of successive events, as logits: `logit(prod_i sigmoid(z_i))`.

    Of two events with logits a and b, the odds against both are `exp(-a) + exp(-b) + exp(-a - b)`; the
    result is minus their logarithm. Works in float32; values and gradients are exact also for events that
    are all but certain or impossible.

    Call arguments:
        logits: List of tensors of one shape: of the first event, of the second given the first, and so on.

    Returns:
        Tensor of that shape: the logit of all events together.

    Example:

    >>> both = ChainOfProbabilities()([np.zeros((1, 1)), np.zeros((1, 1))])  # 0.5 * 0.5 = 1 / (1 + 3)
    >>> round(float(both[0, 0]), 4)
    -1.0986

    Reference:
        [Ma et al., 2018](https://arxiv.org/abs/1804.07931)
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.supports_masking = True

    def call(self, logits):
        """Return the logit of the product."""
        return functools.reduce(_both, logits)

    def compute_output_shape(self, input_shape):
        """Return the shape of a logit."""
        return input_shape[0]


def _both(first, second):
    return -ops.logsumexp(ops.stack([-first, -second, -first - second]), axis=0)
