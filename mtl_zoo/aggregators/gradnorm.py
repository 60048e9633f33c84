"""Weights that bring the task gradients to comparable lengths."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics import masked

SMALLEST_WEIGHT = 1e-3  # before the weights are scaled to sum T


@keras.saving.register_keras_serializable("mtl_zoo")
class GradNorm(GramianAggregator):
    """Gradient normalization: learns weights that give slowly falling losses the longer gradients.

    The length of a weighted gradient is to be the mean length times `rate ** alpha`, where the rate is the
    part of its first loss that a task still has, relative to the mean over tasks. After every step the
    weights take one step of gradient descent on the distance from that, and are scaled to sum T. They are
    weights of the losses: the gradients of heads are multiplied by them too.

    Args:
        alpha: How much longer the gradients of slow tasks are to be; 0 means equal lengths. Defaults to 1.5,
            the paper's for NYUv2.
        learning_rate: Rate of the weights. Defaults to 0.025, the paper's.

    Raises:
        ValueError: If an argument is negative, or a call gives no losses.

    Example:

    >>> aggregator = GradNorm(learning_rate=0.1)
    >>> for _ in range(2):
    ...     direction = aggregator(np.array([[1.0, 0.0], [0.0, 3.0]]), np.array([1.0, 1.0]))
    >>> direction.numpy().round(3)  # weights 1.1 and 0.7, times 2 / 1.8
    array([1.222, 2.333], dtype=float32)

    Reference:
        [Chen et al., 2018](https://arxiv.org/abs/1711.02257)

    Note:
        The paper takes gradients of the last shared layer alone; here of all that the aggregator gets. A
        weight that the step would take below 1e-3 becomes 1e-3.
    """

    weighs_losses = True

    def __init__(self, alpha=1.5, learning_rate=0.025, **kwargs):
        super().__init__(**kwargs)
        self.alpha = arguments.number("alpha", alpha, least=0)
        self.learning_rate = arguments.number("learning_rate", learning_rate, least=0)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        self.next_weights = self.add_task_weights("next_weights", jacobian_shape)
        self.first_losses = self.add_task_weights("first_losses", jacobian_shape, 0.0)

    def compute_weights(self, gramian, losses, present):
        if losses is None:
            raise ValueError("GradNorm weighs by the losses, so they must be given. Received: losses=None")
        present = masked.everyone(present, gramian.shape[0])
        weights = ops.copy(self.next_weights)
        norms = ops.sqrt(ops.maximum(ops.diagonal(gramian), 0.0))
        target = _mean(weights * norms, present) * self._rates(losses, present) ** self.alpha
        moved = weights - self.learning_rate * ops.sign(weights * norms - target) * norms
        moved = _shares.shares(ops.maximum(moved, SMALLEST_WEIGHT), present)
        self.next_weights.assign(_shares.divide(weights, moved, present))
        return weights

    def _rates(self, losses, present):
        """Return what is left of the first losses, relative to the mean."""
        is_first = ops.logical_and(present, self.first_losses == 0)
        first = ops.where(is_first, losses, self.first_losses)
        self.first_losses.assign(first)
        rates = ops.where(first > 0, ops.divide_no_nan(losses, first), 1.0)
        rates = ops.where(present, ops.maximum(rates, 0.0), 0.0)
        return ops.divide_no_nan(rates, _mean(rates, present))


def _mean(values, present):
    """Return the mean over the present tasks."""
    return ops.divide_no_nan(
        ops.sum(ops.where(present, values, 0.0)), ops.sum(ops.cast(present, values.dtype))
    )
