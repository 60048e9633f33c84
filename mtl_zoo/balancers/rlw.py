"""Random weights."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class RLW(Balancer):
    """Weights the losses at random, anew at every step.

    Random loss weighting: the weights are the softmax of standard normal numbers, so they are positive and
    sum to 1 over the present tasks. A baseline that any adaptive method should beat.

    Args:
        seed: Integer seed of the weights. Defaults to `None`: drawn from the global seed of Keras.

    Example:

    >>> value = float(RLW(seed=0)(np.array([1.0, 2.0])))
    >>> 1.0 < value < 2.0
    True

    Reference:
        [Lin et al., 2022](https://arxiv.org/abs/2111.10603)
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.random = keras.random.SeedGenerator(arguments.seed("seed", seed))

    def combine(self, losses, present):
        logits = keras.random.normal(losses.shape, dtype=losses.dtype, seed=self.random)
        return ops.sum(masked.softmax(logits, present) * losses)
