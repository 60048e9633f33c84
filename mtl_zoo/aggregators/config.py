"""Equal cosines to all gradients."""

import keras
from keras import ops

from mtl_zoo.aggregators.base import PreferenceAggregator
from mtl_zoo.numerics import solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class ConFIG(PreferenceAggregator):
    """Conflict-free direction: it has the same positive cosine to every gradient.

    Its length is the sum of the gradients' projections on it.

    Args:
        preferences: Positive numbers, one per task, to which the cosines are proportional. Defaults to
            `None`: equal.

    Raises:
        ValueError: If a preference is not positive, or (when built) their number is not the number of tasks.

    Example:

    >>> ConFIG()(np.array([[2.0, 0.0], [0.0, 6.0]])).numpy().round(4)
    array([4., 4.], dtype=float32)

    Reference:
        [Liu et al., 2025](https://arxiv.org/abs/2408.11104)

    Note:
        Where no such direction exists (dependent gradients), cosines are proportional in the sense of least
        squares, and the direction may conflict; opposite gradients give zero. A zero gradient is left out.
    """

    def compute_weights(self, gramian, losses, present):
        target = ops.convert_to_tensor(self.preferences or [1.0] * gramian.shape[0], gramian.dtype)
        weights = solvers.equal_cosines(gramian, target, present)
        projections = ops.matmul(gramian, weights)
        squared_norm = ops.sum(weights * projections)
        return weights * ops.divide_no_nan(ops.sum(projections), ops.maximum(squared_norm, 0.0))
