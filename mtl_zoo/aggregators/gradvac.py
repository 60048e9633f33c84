"""Alignment of task gradients with the similarity they usually have."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator, num_tasks

LARGEST_COSINE = 1.0 - 1e-6
ROUNDING = 1e-6  # relative to the terms of a squared norm; what is below counts as zero


@keras.saving.register_keras_serializable("mtl_zoo")
class GradVac(GramianAggregator):
    """Gradient vaccine: turns the task gradients towards each other where they agree less than usual.

    Like `PCGrad`, but with a goal for the cosine of each pair that need not be zero: an exponential moving
    average of the cosines seen. So tasks that mostly agree are held together also where they do not conflict.
    Each gradient meets the others in an order of its own, drawn at every step.

    Args:
        beta: Weight of the latest cosine in the average, between 0 and 1; 0 gives `PCGrad`. Defaults
            to 0.01, as in the paper.
        seed: Seed of the orders. Defaults to `None`: a random one.

    Raises:
        ValueError: If `beta` is not between 0 and 1.

    Example:

    >>> aggregator = GradVac(beta=0.5)
    >>> aggregator(np.array([[1.0, 0.0], [-1.0, 1.0]])).numpy()  # a first step is that of PCGrad
    array([0.5, 1.5], dtype=float32)
    >>> np.round(aggregator.target_cosines, 3)
    array([[ 0.   , -0.354],
           [-0.354,  0.   ]], dtype=float32)

    Reference:
        [Wang et al., 2021](https://arxiv.org/abs/2010.05874)

    Note:
        The paper keeps an average for every layer or for all parameters; this is the latter. Goals count as
        at most 1 - 1e-6, beyond which the paper's formula divides by zero, and the averages of a pair with a
        zero gradient stay.
    """

    def __init__(self, beta=0.01, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.beta = arguments.number("beta", beta, least=0, most=1)
        self.seed = arguments.seed("seed", seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        size = num_tasks(jacobian_shape)
        self.target_cosines = self.add_weight(
            name="target_cosines", shape=(size, size), initializer="zeros", trainable=False
        )

    def compute_weights(self, gramian, losses, present):
        tasks = ops.arange(gramian.shape[0])
        others = ops.argsort(keras.random.uniform(gramian.shape, seed=self.random), axis=1)
        norms = ops.sqrt(ops.maximum(ops.diagonal(gramian), 0.0))
        targets = ops.copy(self.target_cosines)

        def turn(step, state):
            weights, cosines = state
            other = others[:, step]
            one_hot = ops.one_hot(other, gramian.shape[0], dtype=weights.dtype)
            target, other_norm = ops.sum(one_hot * targets, axis=1), ops.take(norms, other)
            norm = _norms(weights, gramian, norms)
            inner = ops.sum(weights * ops.take(gramian, other, axis=0), axis=1)
            defined = ops.logical_and(other != tasks, norm * other_norm > 0)
            cosine = ops.clip(ops.divide_no_nan(inner, norm * other_norm), -1.0, 1.0)
            cosine = ops.where(defined, cosine, target)
            length = ops.divide_no_nan(norm * _turn(cosine, target), other_norm)
            return weights + length[:, None] * one_hot, cosines + cosine[:, None] * one_hot

        start = ops.eye(gramian.shape[0], dtype=gramian.dtype), ops.zeros_like(gramian)
        weights, cosines = ops.fori_loop(0, gramian.shape[0], turn, start)
        self.target_cosines.assign(targets + self.beta * (cosines - targets))
        return ops.sum(weights, axis=0)


def _norms(weights, gramian, norms):
    """Return the norms of the gradients that the rows of `weights` combine, 0 where they cancel out."""
    squares = ops.sum(weights * ops.matmul(weights, gramian), axis=1)
    terms = ops.matmul(ops.abs(weights), norms) ** 2
    return ops.sqrt(ops.where(squares > ROUNDING * terms, squares, 0.0))


def _turn(cosine, target):
    """Return how much of the other unit gradient takes a unit gradient from one cosine to a larger one."""
    target = ops.clip(target, -LARGEST_COSINE, LARGEST_COSINE)
    sines = ops.sqrt(1.0 - cosine**2), ops.sqrt(1.0 - target**2)
    return ops.where(cosine < target, target * sines[0] / sines[1] - cosine, 0.0)
