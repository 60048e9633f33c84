"""Projection of conflicting gradients."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator


@keras.saving.register_keras_serializable("mtl_zoo")
class PCGrad(GramianAggregator):
    """Gradient surgery: removes from each task gradient what conflicts with the others, then sums.

    Each gradient meets the others in an order of its own, drawn at every step; where the inner product is
    negative, it loses its component along the other. All is done on the weights of the original gradients,
    `[T, T]` numbers, not on the gradients themselves.

    Args:
        seed: Seed of the orders. Defaults to `None`: a random one.

    Example:

    >>> PCGrad()(np.array([[1.0, 0.0], [-1.0, 1.0]])).numpy()
    array([0.5, 1.5], dtype=float32)

    Reference:
        [Yu et al., 2020](https://arxiv.org/abs/2001.06782)
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = arguments.seed("seed", seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def compute_weights(self, gramian, losses, present):
        tasks = ops.arange(gramian.shape[0])
        others = ops.argsort(keras.random.uniform(gramian.shape, seed=self.random), axis=1)
        squared_norms = ops.diagonal(gramian)

        def project(step, weights):
            other = others[:, step]
            inner = ops.sum(weights * ops.take(gramian, other, axis=0), axis=1)
            conflict = ops.logical_and(inner < 0, other != tasks)
            excess = ops.where(conflict, ops.divide_no_nan(inner, ops.take(squared_norms, other)), 0.0)
            return weights - excess[:, None] * ops.one_hot(other, gramian.shape[0], dtype=weights.dtype)

        start = ops.eye(gramian.shape[0], dtype=gramian.dtype)
        return ops.sum(ops.fori_loop(0, gramian.shape[0], project, start), axis=0)
