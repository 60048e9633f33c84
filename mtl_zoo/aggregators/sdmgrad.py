"""Multi-objective descent near a preferred direction."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import Aggregator, cross_gramian, num_tasks
from mtl_zoo.numerics import masked, solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class SDMGrad(Aggregator):
    """Stochastic direction-oriented descent: the shortest combination of gradients, pulled to their mean.

    The direction is `(g_w + regularization * g_0) / (1 + regularization)`, with `g_0` the mean gradient and
    `g_w` a convex combination that minimises the direction's norm. The weights move by projected gradient
    descent with momentum, from where the last step left them. As the inner products are between gradients of
    two parts of the batch, and the direction sums those of a third, the noise of a batch causes no bias.

    Args:
        learning_rate: Rate of the weights, for gradients of mean length 1. Defaults to 10, which is
            ours; LibMTL takes 5.
        momentum: Momentum of the weights, at least 0 and below 1. Defaults to 0.5, as in LibMTL.
        steps: Number of steps of the weights in one call. Defaults to 20, as there.
        regularization: Strength of the pull to the mean gradient: 0 means like `MGDA`, infinity like `Mean`.
            The paper's lambda. Defaults to 0.3, as there.

    Raises:
        ValueError: If `momentum` is not in [0, 1), `steps` is not positive, or another argument is negative.

    Example:

    >>> parts = np.stack(3 * [[[2.0, 0.0], [0.0, 1.0]]])
    >>> SDMGrad(regularization=0.0, learning_rate=0.5)(parts).numpy().round(3)  # that of MGDA
    array([0.4, 0.8], dtype=float32)

    Reference:
        [Xiao et al., 2023](https://arxiv.org/abs/2305.18409)

    Note:
        As in the authors' code, the inner products are divided by the square of the gradients' mean length,
        estimated from their diagonal: not less than 1e-4 of the largest, since the noise may make that zero.
        Labelled items are dealt to the parts as for `MoDo`.
    """

    sub_batches = 3

    def __init__(self, learning_rate=10.0, momentum=0.5, steps=20, regularization=0.3, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = arguments.number("learning_rate", learning_rate, least=0)
        self.momentum = arguments.number("momentum", momentum, least=0, below=1)
        self.steps = arguments.integer("steps", steps, 1, arguments.STEPS)
        self.regularization = arguments.number("regularization", regularization, least=0)

    def build(self, jacobian_shape):
        size = num_tasks(jacobian_shape)
        start = keras.initializers.Constant(1.0 / size)
        self.convex_weights = self.add_weight(
            name="convex_weights", shape=(size,), initializer=start, trainable=False
        )
        self.task_weights = self.add_weight(
            name="task_weights", shape=(size,), initializer=start, trainable=False
        )

    def call(self, jacobian, losses=None, present=None):
        present = masked.everyone(present, self.task_weights.shape[0])
        preference = _shares.shares(ops.ones_like(self.task_weights), present)
        inner = _normalize(cross_gramian(jacobian), preference)
        shares = self._descend(inner, preference, present)
        self.convex_weights.assign(_shares.divide(self.convex_weights, shares, present))
        weights = (ops.where(present, shares, 0.0) + self.regularization * preference) / (
            1.0 + self.regularization
        )
        self.task_weights.assign(weights)
        return keras.tree.map_structure(lambda block: ops.matmul(weights, block[2]), jacobian)

    def _descend(self, inner, preference, present):
        """Minimise the direction's norm over the weights of the present tasks."""

        def step(_, state):
            shares, velocity = state
            slope = ops.matmul(inner, shares + self.regularization * preference)
            velocity = self.momentum * velocity + slope
            return solvers.project_simplex(shares - self.learning_rate * velocity, present), velocity

        start = _shares.shares(ops.convert_to_tensor(self.convex_weights), present)
        return ops.fori_loop(0, self.steps, step, (start, ops.zeros_like(start)))[0]


def _normalize(inner, preference):
    """Divide inner products by the squared mean length of the gradients."""
    length = ops.sum(preference * ops.sqrt(ops.maximum(ops.diagonal(inner), 0.0)))
    smallest = 1e-4 * ops.sqrt(ops.max(ops.abs(inner)))
    return ops.divide_no_nan(inner, ops.maximum(length, smallest) ** 2)
