"""Weights from the rate at which losses fall."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _epoch_means
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class DWA(Balancer):
    """Dynamic weight average: the slower a task's loss falls, the larger its weight.

    The weights are `T * softmax(r / temperature)`, with `r` the ratio of the last two epochs' losses, and 1
    in the first two epochs. An epoch's loss is the mean over the batches in which the task is present; a
    task without one keeps its last. Losses must not be negative: `fit` warns of those that are.

    Args:
        temperature: Larger means more even weights. Defaults to 2, as in the paper.

    Raises:
        ValueError: If `temperature` is not positive.

    Example:

    >>> balancer = DWA()
    >>> for losses in ([1.0, 1.0], [1.0, 0.5]):
    ...     _ = balancer(np.array(losses))
    ...     balancer.on_epoch_end()
    >>> np.round(balancer.task_weights, 3)
    array([1.124, 0.876], dtype=float32)

    Reference:
        [Liu et al., 2019](https://arxiv.org/abs/1803.10704)
    """

    min_losses = 0.0

    def __init__(self, temperature=2.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = arguments.number("temperature", temperature, above=0)

    def build(self, losses_shape):
        def state(name, initializer):
            return self.add_weight(name=name, shape=losses_shape, initializer=initializer, trainable=False)

        self.task_weights = state("task_weights", "ones")
        self.last_epoch = state("last_epoch", "zeros")
        self.means = _epoch_means.start(self, losses_shape)

    def combine(self, losses, present):
        _epoch_means.add(self.means, losses, present)
        return ops.sum(present * self.task_weights * losses)

    def on_epoch_end(self):
        """Compute the next epoch's weights from the losses of this epoch and the one before."""
        found, seen = _epoch_means.take(self.means)
        mean = ops.where(seen, found, self.last_epoch)
        known = ops.logical_and(seen, self.last_epoch > 0)
        ratio = ops.where(known, ops.divide_no_nan(mean, self.last_epoch), 1.0)
        self.task_weights.assign(ratio.shape[0] * ops.softmax(ratio / self.temperature))
        self.last_epoch.assign(mean)
