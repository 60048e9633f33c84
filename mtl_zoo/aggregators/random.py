"""Random weights."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class Random(Aggregator):
    """Weighs the task gradients by the softmax of standard normal numbers, drawn at every step.

    A baseline that is hard to beat: a method which does not is not worth its price.

    Args:
        seed: Seed of the weights. Defaults to `None`: a random one.

    Example:

    >>> aggregator = Random()
    >>> direction = aggregator(np.eye(2))  # the weights themselves
    >>> float(np.sum(direction).round(4))
    1.0

    Reference:
        [Lin et al., 2022](https://arxiv.org/abs/2111.10603)
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = arguments.seed("seed", seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def build(self, jacobian_shape):
        self.task_weights = self.add_weight(
            name="task_weights", shape=(num_tasks(jacobian_shape),), initializer="ones", trainable=False
        )

    def call(self, jacobian, losses=None, present=None):
        shape = self.task_weights.shape
        logits = keras.random.normal(shape, dtype=self.compute_dtype, seed=self.random)
        weights = masked.softmax(logits, masked.everyone(present, shape[0]))
        self.task_weights.assign(weights)
        return keras.tree.map_structure(lambda block: ops.matmul(weights, block), jacobian)
