"""Weights from how far each loss still is from what can be reached."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _epoch_means
from mtl_zoo.balancers._solved import SMALLEST_LOSS, unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class IGB(Balancer):
    """Weights the losses' logarithms by `T * softmax(losses / base_losses)`: by what is left to improve.

    Improvable gap balancing, the first of the paper's two algorithms (IGBv1): the scalar is the sum of
    weighted logarithms, as of `Logarithm`, and a task whose loss has fallen less since the start has a
    larger weight. `base_losses` are the mean losses of one epoch near the start; up to its end the weights
    are 1. Losses must not be negative: `fit` warns of those that are.

    Args:
        base_epoch: The epoch whose mean training losses are the base, counted from 0. Defaults to 1, the
            second, as in the authors' code.

    Raises:
        ValueError: If `base_epoch` is not an integer of at least 0.

    Example:

    >>> balancer = IGB(base_epoch=0)
    >>> _ = balancer(np.array([1.0, 10.0]))
    >>> balancer.on_epoch_end()
    >>> np.array(balancer.base_losses)
    array([ 1., 10.], dtype=float32)
    >>> round(float(balancer(np.array([1.0, 5.0]))), 5)  # 2 softmax([1, 1/2]) on the logarithms
    1.21526

    Reference:
        [Dai et al., 2023](https://arxiv.org/abs/2307.15429)

    Note:
        An epoch's loss is the mean over the batches in which the task is present. One that has no label in
        the base epoch gets its base in the next epoch in which it has, and the weight 1 until then; T is the
        number of present tasks that have a base. A task whose loss is below 1e-12 is left out, as an absent
        one is.
    """

    min_losses = 0.0

    def __init__(self, base_epoch=1, **kwargs):
        super().__init__(**kwargs)
        self.base_epoch = arguments.integer("base_epoch", base_epoch, 0, arguments.EPOCHS)

    def build(self, losses_shape):
        def state(name, shape=losses_shape):
            return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)

        self.base_losses = state("base_losses")
        self.means = _epoch_means.start(self, losses_shape)
        self.epochs = state("epochs", ())

    def combine(self, losses, present):
        _epoch_means.add(self.means, losses, present)
        losses, present = unsolved(losses, present)
        weights = self._weights(ops.stop_gradient(losses), present)
        return ops.sum(present * weights * ops.log(losses))

    def on_epoch_end(self):
        """Take the mean losses of the epoch as those of the base, where there is none yet."""
        means, _ = _epoch_means.take(self.means)
        waits = ops.logical_and(self.epochs >= self.base_epoch, self.base_losses <= SMALLEST_LOSS)
        self.base_losses.assign(ops.where(waits, means, self.base_losses))
        self.epochs.assign_add(1.0)

    def _weights(self, losses, present):
        known = present * ops.cast(self.base_losses > SMALLEST_LOSS, losses.dtype)
        ratios = losses / ops.where(known > 0, self.base_losses, 1.0)
        return ops.where(known > 0, ops.sum(known) * masked.softmax(ratios, known), 1.0)
