"""The sum of the losses' logarithms."""

import keras
from keras import ops

from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class Logarithm(Balancer):
    """Sums the logarithms of the losses.

    The weight of a task is `1 / loss`, so multiplying a loss by a constant changes no gradient: good for
    losses of different units. It goes well with aggregators that are not scale invariant. Losses must not be
    negative: `fit` warns of those that are.

    Example:

    >>> round(float(Logarithm()(np.array([1.0, np.e]))), 5)
    1.0

    Reference:
        [Lin et al., 2023](https://arxiv.org/abs/2308.12029)

    Note:
        A task whose loss is below 1e-12 is left out, as an absent one is, so that a task that is solved
        exactly does no harm.
    """

    min_losses = 0.0

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        return ops.sum(present * ops.log(losses))
