"""Learned scales that make all losses alike."""

import keras
from keras import ops

from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class IMTLL(Balancer):
    """Learns a log scale `s` per task: the scalar is `sum(exp(s) * losses - s)`.

    Impartial multi-task learning, the part that balances losses: `s` tends to where every scaled loss is 1,
    and there the weight of a task is `1 / loss`. Goes with the aggregator `IMTLG`. Losses must not be
    negative: `fit` warns of those that are.

    Example:

    >>> float(IMTLL()(np.array([1.0, 2.0])))
    3.0

    Reference:
        [Liu et al., 2021](https://openreview.net/forum?id=IMPnRXEWpvr)

    Note:
        A task whose loss is below 1e-12 is left out, as an absent one is: its scale would grow without end.
    """

    min_losses = 0.0

    def build(self, losses_shape):
        self.log_scales = self.add_weight(name="log_scales", shape=losses_shape, initializer="zeros")

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        return ops.sum(present * (ops.exp(self.log_scales) * losses - self.log_scales))
