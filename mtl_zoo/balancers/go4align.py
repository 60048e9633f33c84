"""Weights of groups of tasks whose risks are alike."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked
from mtl_zoo.numerics.clusters import group_means


@keras.saving.register_keras_serializable("mtl_zoo")
class GO4Align(Balancer):
    """Weights the losses by groups of tasks that are in a similar state, found anew at every step.

    Adaptive group risk minimization: task `t` has the indicator `sum(losses) / losses[t] * p[t]`, which makes
    losses of all scales alike. `p` is the history of the risks: it begins even, and at every step is
    multiplied by `exp(-step_size * losses)` and normalized to sum 1. K-means puts tasks of similar indicators
    into a group, and the mean of its indicators is the weight of the losses of its tasks, a constant to the
    gradient. Losses must not be negative: `fit` warns of those that are.

    Args:
        num_groups: Number of groups; if there are as many as tasks, each has its own weight. The authors'
            method has no default. Defaults to 2, which is ours.
        step_size: How fast `p` turns from tasks of large losses. Defaults to 1e-4, as in the authors' code.

    Raises:
        ValueError: If `num_groups` is not a positive integer or `step_size` is negative.

    Example:

    >>> balancer = GO4Align(num_groups=2, step_size=0.0)
    >>> losses = np.array([1.0, 2.0, 6.0])  # indicators 9/1/3, 9/2/3 and 9/6/3: the last two are alike
    >>> float(balancer(losses))  # 3 * 1 + 1 * (2 + 6)
    11.0

    Reference:
        [Shen et al., 2024](https://arxiv.org/abs/2404.06486)

    Note:
        The authors' k-means begins with random centres; here the groups are those of the smallest sum of
        squares, so equal losses give equal weights. Absent tasks keep their `p`, and the present ones share
        out the rest: the paper knows no absent tasks. A task whose loss is below 1e-12 is left out, as an
        absent one is.
    """

    min_losses = 0.0

    def __init__(self, num_groups=2, step_size=1e-4, **kwargs):
        super().__init__(**kwargs)
        self.num_groups = arguments.integer("num_groups", num_groups, 1, arguments.COPIES)
        self.step_size = arguments.number("step_size", step_size, least=0)

    def build(self, losses_shape):
        self.history = self.add_weight(  # the logarithm of `p`, up to a constant, which never underflows
            name="history", shape=losses_shape, initializer="zeros", trainable=False
        )

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        risks = ops.stop_gradient(losses)
        self._update(risks, present)
        shares = masked.softmax(self.history, present)
        weights = group_means(ops.sum(present * risks) / risks * shares, present, self.num_groups)
        return ops.sum(ops.stop_gradient(weights) * losses)

    def _update(self, risks, present):
        """Move the history of the present tasks, whose sum of `p` stays."""
        moved = self.history - self.step_size * risks
        kept = masked.logsumexp(self.history, present) - masked.logsumexp(moved, present)
        self.history.assign(ops.where(present > 0, moved + kept, self.history))
