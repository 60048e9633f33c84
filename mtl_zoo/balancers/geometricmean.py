"""The geometric mean of the losses."""

import keras
from keras import ops

from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class GeometricMean(Balancer):
    """Takes the geometric mean of the losses of the present tasks.

    The balance of the tasks is that of `Logarithm`, whatever the scales of the losses, but the gradient
    shrinks as the losses fall. Losses must not be negative: `fit` warns of those that are.

    Example:

    >>> round(float(GeometricMean()(np.array([2.0, 8.0]))), 5)
    4.0

    Reference:
        [Chennupati et al., 2019](https://arxiv.org/abs/1904.08492)

    Note:
        A task whose loss is below 1e-12 is left out, as an absent one is: the mean, and with it the gradient
        of all, would be 0 as soon as one task is solved exactly.
    """

    min_losses = 0.0

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        num_present = ops.sum(present)
        total = ops.sum(present * ops.log(losses))
        mean = ops.exp(total / ops.maximum(num_present, 1.0))
        return ops.where(num_present > 0, mean, 0.0)
