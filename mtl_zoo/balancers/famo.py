"""Weights that let all losses fall at the same rate."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _adam as adam
from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked

EPSILON = 1e-8


@keras.saving.register_keras_serializable("mtl_zoo")
class FAMO(Balancer):
    """Learns weights that let the logarithms of all losses fall at the same rate.

    Fast adaptive multitask optimization: the effect of balancing gradients for the price of one backward
    pass. The weights of the logarithms are the softmax of `task_logits`. After every update of the network,
    the losses of the same batch show how much each task gained, and Adam lowers the logits of those that
    gained more.

    Args:
        learning_rate: Learning rate of the logits. Defaults to 0.025, as in the authors' code.
        weight_decay: Factor of the logits in their gradient, which draws the weights to equality and so
            forgets old gains. Defaults to 0.001, as in the authors' code for QM9 (for CelebA it is 0.01).
        min_losses: One number per task that its loss is never below; what a loss is above it counts. `fit`
            warns of losses that are below all the same. Defaults to 0 for all.

    Raises:
        ValueError: If `learning_rate` is not positive, `weight_decay` is negative, or (when built) there is
            not one number per task.

    Example:

    >>> balancer = FAMO(learning_rate=0.1)
    >>> _ = balancer(np.array([1.0, 1.0]))
    >>> balancer.look(np.array([0.5, 1.0]))  # the first task gained more
    >>> np.round(balancer.task_logits, 3)
    array([-0.1,  0.1], dtype=float32)

    Reference:
        [Liu et al., 2023](https://arxiv.org/abs/2306.03792)

    Note:
        The weights are shared out among the present tasks, and only their logits, with Adam's moments and
        step counts, are updated; the paper knows no absent tasks. A task whose loss is within 1e-12 of its
        minimum is left out, as an absent one is: the scalar is divided by the sum of the weights over the
        losses, and one task that is solved exactly would stop all others.
    """

    second_look = True

    def __init__(self, learning_rate=0.025, weight_decay=1e-3, min_losses=None, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)
        self.weight_decay = arguments.number("weight_decay", weight_decay, least=0)
        self.min_losses = 0.0 if min_losses is None else arguments.numbers("min_losses", min_losses)

    def build(self, losses_shape):
        if self.min_losses:
            arguments.per_task("min_losses", self.min_losses, losses_shape[0])

        def state(name, initializer="zeros"):
            return self.add_weight(name=name, shape=losses_shape, initializer=initializer, trainable=False)

        self.task_logits = state("task_logits")
        self.losses_before = state("losses_before", "ones")
        self.moments = adam.moments(self, losses_shape)

    def combine(self, losses, present):
        losses = self._above_minimum(losses)
        self.losses_before.assign(ops.where(present > 0, ops.stop_gradient(losses), self.losses_before))
        losses, present = unsolved(losses, present)
        shares = masked.softmax(self.task_logits, present)
        total = ops.stop_gradient(ops.sum(shares / (losses + EPSILON)))
        return ops.divide_no_nan(ops.sum(shares * ops.log(losses + EPSILON)), total)

    def look(self, losses_after, present=None):
        """Update the logits by the gain of each task; to be called after the call with the losses before.

        Args:
            losses_after: Tensor `[T]`, the losses of the same batch after the update of the network.
            present: As in the call.
        """
        after = self._above_minimum(ops.convert_to_tensor(losses_after, self.compute_dtype))
        present = ops.ones_like(after) if present is None else ops.cast(present, after.dtype)
        before, present = unsolved(ops.convert_to_tensor(self.losses_before), present)
        gain = ops.log(before + EPSILON) - ops.log(ops.maximum(after, 0.0) + EPSILON)
        gain = ops.where(present > 0, gain, 0.0)
        shares = masked.softmax(self.task_logits, present)
        gradient = shares * (gain - ops.sum(shares * gain))
        gradient += self.weight_decay * self.task_logits
        adam.descend(self.task_logits, self.moments, gradient, present, self.learning_rate)

    def _above_minimum(self, losses):
        return losses - ops.convert_to_tensor(self.min_losses, losses.dtype)
