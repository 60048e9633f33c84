"""The probability that every event of a chain happens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class ChainOfProbabilities(keras.layers.Layer):
    """Multiplies the probabilities of successive events, as logits: `logit(prod_i sigmoid(z_i))`.

    Works in float32 on logarithms, so that values and gradients stay finite for certain and for impossible
    events.

    Call arguments:
        logits: List of tensors of one shape: of the first event, of the second given the first, and so on.

    Returns:
        Tensor of that shape: the logit of all events together.

    Example:

    >>> both = ChainOfProbabilities()([np.zeros((1, 1)), np.zeros((1, 1))])  # 0.5 * 0.5 = 1 / (1 + 3)
    >>> float(both[0, 0])
    -1.0986...

    Reference:
        [Ma et al., 2018](https://arxiv.org/abs/1804.07931)
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, logits):
        """Return the logit of the product."""
        logarithm = sum(map(ops.log_sigmoid, logits))
        return logarithm - _log_of_complement(logarithm)

    def compute_output_shape(self, input_shape):
        """Return the shape of a logit."""
        return input_shape[0]


def _log_of_complement(x):
    """Return `log(1 - exp(x))` for x below 0, precise at both ends."""
    x = ops.minimum(x, -1e-30)
    near = x > -0.6931472  # log 2
    close, far = ops.where(near, x, -1.0), ops.where(near, -1.0, x)
    return ops.where(near, ops.log(-ops.expm1(close)), ops.log1p(-ops.exp(far)))
