"""Multi-objective descent with independent samples."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import Aggregator, cross_gramian, num_tasks
from mtl_zoo.numerics import masked, solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class MoDo(Aggregator):
    """Multi-objective gradient with double sampling: weights whose noise is independent of the gradients'.

    The weights follow the descent towards the shortest combination, one projected step at a time. The inner
    products are between gradients of two parts of the batch, which makes them unbiased; the direction is the
    weighted sum of those of a third. The trainer deals the labelled items of every task to the parts in turn.

    Args:
        gamma: Rate of the weights. Defaults to 1e-3, as in LibMTL.
        rho: Strength of the pull towards equal weights. Defaults to 0.1, as there.

    Raises:
        ValueError: If an argument is negative.

    Example:

    >>> aggregator = MoDo(gamma=0.1, rho=0.0)
    >>> parts = np.stack(3 * [[[2.0, 0.0], [0.0, 1.0]]])
    >>> aggregator(parts).numpy().round(4)  # weights: (0.5, 0.5) - 0.1 (2, 0.5), projected
    array([0.85 , 0.575], dtype=float32)

    Reference:
        [Chen et al., 2023](https://arxiv.org/abs/2305.20057)

    Note:
        A part for which no labelled item of a task is left takes the gradient of all of them, so that a task
        with fewer than three items in a batch is trained too; its inner products are not unbiased then.
    """

    sub_batches = 3

    def __init__(self, gamma=1e-3, rho=0.1, **kwargs):
        super().__init__(**kwargs)
        self.gamma = arguments.number("gamma", gamma, least=0)
        self.rho = arguments.number("rho", rho, least=0)

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
        shares = _shares.shares(self.convex_weights, present)
        slope = ops.matmul(cross_gramian(jacobian), shares) + self.rho * shares
        shares = solvers.project_simplex(shares - self.gamma * slope, present)
        self.convex_weights.assign(_shares.divide(self.convex_weights, shares, present))
        weights = ops.where(present, shares, 0.0)
        self.task_weights.assign(weights)
        return keras.tree.map_structure(lambda block: ops.matmul(weights, block[2]), jacobian)
