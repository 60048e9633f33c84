"""Weights from learned homoscedastic uncertainty."""

import keras
from keras import ops

from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class Uncertainty(Balancer):
    """Learns a log variance `s` per task: the scalar is `sum(exp(-s) / 2 * losses + s / 2)`.

    Losses must not be negative: `fit` warns of those that are.

    Example:

    >>> float(Uncertainty()(np.array([1.0, 2.0])))
    1.5

    Reference:
        [Kendall et al., 2018](https://arxiv.org/abs/1705.07115)

    Note:
        The paper's factor for classification is `exp(-s)` and for regression `exp(-s) / 2`. One factor serves
        all here, as in most implementations; it shifts the optimal `s` by a constant.

        A task whose loss is below 1e-12 is left out, as an absent one is: its variance would fall without
        end.
    """

    min_losses = 0.0

    def build(self, losses_shape):
        self.log_variances = self.add_weight(name="log_variances", shape=losses_shape, initializer="zeros")

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        return 0.5 * ops.sum(present * (ops.exp(-self.log_variances) * losses + self.log_variances))
