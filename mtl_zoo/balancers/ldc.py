"""Learned weights that keep the weighted losses together."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class LDC(Balancer):
    """Learns weights under a penalty on the discrepancy of the weighted losses.

    Loss discrepancy control: the weights `w = sigmoid(task_logits)` solve a problem of two levels, in which
    the network minimises the weighted losses and the weights make these alike. Both are trained together on
    one penalised scalar, `sum(w * scaled) / sum(w) + strength * sum(abs(w * scaled - its neighbour))`, where
    the sum of the weights is a constant to the gradient and neighbours are tasks that follow one another.
    Losses must not be negative: `fit` warns of those that are.

    Args:
        strength: Factor of the discrepancy. Defaults to 0.05, as in the authors' code for NYUv2 and QM9. With
            many tasks take less (they take 0.01 for 40), or it raises losses that are below their neighbours.
        rescale: Whether `scaled` are the losses divided by those at which the tasks were first seen, times
            the smallest of these, so that they start alike; else it is the losses. Defaults to `True`, as in
            the authors' code for NYUv2.

    Raises:
        ValueError: If `strength` is negative or `rescale` is not a boolean.

    Example:

    >>> balancer = LDC(strength=0.1, rescale=False)
    >>> round(float(balancer(np.array([1.0, 3.0]))), 5)  # 2 + 0.1 * sigmoid(1) * 2
    2.14621

    Reference:
        [Xiao et al., 2025](https://arxiv.org/abs/2502.08585)

    Note:
        The logits start at 1 and are learned by the model's optimizer, as in the authors' code for CelebA. A
        router that reads the features, as their code for NYUv2 has, is beyond a balancer, which sees losses.
        Their code for QM9 takes logarithms of the losses, and starts them anew in every epoch: not here.
        A task whose loss is below 1e-12 is left out, as an absent one is; neighbours are then the next
        present tasks.
    """

    min_losses = 0.0

    def __init__(self, strength=0.05, rescale=True, **kwargs):
        super().__init__(**kwargs)
        self.strength = arguments.number("strength", strength, least=0)
        self.rescale = arguments.flag("rescale", rescale)

    def build(self, losses_shape):
        self.task_logits = self.add_weight(name="task_logits", shape=losses_shape, initializer="ones")
        self.start = self.add_weight(name="start", shape=losses_shape, initializer="zeros", trainable=False)

    def combine(self, losses, present):
        losses, present = unsolved(losses, present)
        scaled = self._rescale(losses, present) if self.rescale else losses
        logs = ops.log_sigmoid(self.task_logits)
        logs = ops.where(present > 0, logs - ops.stop_gradient(masked.logsumexp(logs, present)), 0.0)
        balanced = ops.sum(present * ops.exp(logs) * scaled)
        return balanced + self.strength * _discrepancy(ops.sigmoid(self.task_logits) * scaled, present)

    def _rescale(self, losses, present):
        """Return the losses in units of those at the start, which are taken where a task is first seen."""
        is_first = ops.logical_and(present > 0, self.start == 0)
        self.start.assign(ops.where(is_first, ops.stop_gradient(losses), self.start))
        smallest = ops.min(ops.where(self.start > 0, self.start, arguments.LARGEST))
        return ops.where(present > 0, losses / ops.where(present > 0, self.start, 1.0) * smallest, 1.0)


def _discrepancy(values, present):
    """Return the sum of the distances between each present value and the next one."""
    place = ops.cumsum(present)
    are_neighbours = present[:, None] * present * ops.cast(place - place[:, None] == 1.0, values.dtype)
    return ops.sum(are_neighbours * ops.abs(values - values[:, None]))
