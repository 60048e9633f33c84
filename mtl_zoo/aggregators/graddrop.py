"""Sampling of one sign per parameter."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator


@keras.saving.register_keras_serializable("mtl_zoo")
class GradDrop(Aggregator):
    """Gradient sign dropout: samples a sign per parameter and sums the gradients that have it.

    The probability of a sign is the part of the absolute gradients that has it. Where all tasks agree,
    nothing is dropped; where they conflict, the noise moves parameters on until they agree.

    Args:
        leak: Part of the dropped gradients that is added all the same, from 0 to 1, where it makes the plain
            sum. Defaults to 0, as in LibMTL.
        seed: Seed of the samples. Defaults to `None`: a random one.

    Raises:
        ValueError: If `leak` is not between 0 and 1.

    Example:

    >>> direction = GradDrop()(np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 0.0]])).numpy()
    >>> float(direction[0]), float(direction[1]) in (2.0, -1.0), float(direction[2])
    (4.0, True, 0.0)

    Reference:
        [Chen et al., 2020](https://arxiv.org/abs/2010.06808)

    Note:
        The paper has a leak for every task, and drops gradients of activations, summed over the batch; here
        one leak serves all and the gradients are those the aggregator gets.
    """

    def __init__(self, leak=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.leak = arguments.number("leak", leak, least=0, most=1)
        self.seed = arguments.seed("seed", seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def call(self, jacobian, losses=None, present=None):
        return keras.tree.map_structure(self._drop, jacobian)

    def _drop(self, block):
        total, mass = ops.sum(block, axis=0), ops.sum(ops.abs(block), axis=0)
        positive_purity = 0.5 * (1.0 + ops.divide_no_nan(total, mass))
        sample = keras.random.uniform(ops.shape(total), dtype=block.dtype, seed=self.random)
        kept = ops.where(positive_purity > sample, block > 0, block < 0)
        return ops.sum(ops.where(kept, block, self.leak * block), axis=0)
