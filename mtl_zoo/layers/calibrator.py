"""The behavioural expectation calibrator."""

import keras
from keras import ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class Calibrator(keras.layers.Layer):
    """Penalises a later event that is more probable than the event it needs.

    Adds `strength * mean(max(sigmoid(later) - sigmoid(earlier), 0))` to the model's losses and returns the
    later logits as they are.

    Args:
        strength: Factor of the penalty. Defaults to 0.6.

    Call arguments:
        logits: List of two tensors of one shape: of the earlier event, of the later one.

    Returns:
        The later event's logits.

    Example:

    >>> unit = Calibrator(strength=0.5)
    >>> later = unit([np.array([[-100.0]]), np.array([[100.0]])])
    >>> float(unit.losses[0])
    0.5

    Reference:
        [Xi et al., 2021](https://arxiv.org/abs/2105.08489)
    """

    def __init__(self, strength=0.6, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.strength = arguments.number("strength", strength, least=0)
        self.supports_masking = True

    def call(self, logits):
        """Return the later logits; add the penalty."""
        earlier, later = logits
        excess = ops.relu(ops.sigmoid(later) - ops.sigmoid(earlier))
        self.add_loss(self.strength * ops.mean(excess))
        return later

    def compute_output_shape(self, input_shape):
        """Return the shape of the later logits."""
        return input_shape[1]
