"""The mean of each parameter's gradients without the extremes."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class TrimmedMean(Aggregator):
    """Averages, parameter by parameter, what is left without the largest and the smallest gradients.

    For many tasks of the same kind (clients, workers), of which up to `trim` may send anything. Only
    tasks that reach a parameter count.

    Args:
        trim: How many gradients to leave out at either end. Defaults to 1, which is ours. With few tasks
            less, so that one or two are left: two tasks give the mean, three the median.

    Raises:
        ValueError: If `trim` is negative.

    Example:

    >>> TrimmedMean()(np.array([[1.0, 2.0], [2.0, 8.0], [9.0, 3.0], [4.0, 5.0]])).numpy()
    array([3., 4.], dtype=float32)

    Reference:
        [Yin et al., 2018](https://arxiv.org/abs/1803.01498)
    """

    per_reach = True

    def __init__(self, trim=1, **kwargs):
        super().__init__(**kwargs)
        self.trim = arguments.integer("trim", trim, 0)

    def call(self, jacobian, losses=None, present=None):
        return keras.tree.map_structure(lambda block: self._trimmed_mean(block, present), jacobian)

    def _trimmed_mean(self, block, present):
        """Leave out the extremes of every column, a pair at a time, and average the rest."""
        rank = ops.arange(block.shape[0])[:, None]
        present = masked.everyone(present, block.shape[0])
        count = ops.sum(ops.cast(present, "int32"))
        kept = ops.logical_and(present[:, None], ops.ones_like(block, "bool"))  # of any size
        for pair in range(min(self.trim, (block.shape[0] - 1) // 2)):
            enough = count > 2 * pair + 2
            highest = ops.argmax(ops.where(kept, block, -float("inf")), axis=0)
            lowest = ops.argmin(ops.where(kept, block, float("inf")), axis=0)
            extreme = ops.logical_or(rank == highest, rank == lowest)
            kept = ops.logical_and(kept, ~ops.logical_and(extreme, enough))
        kept = ops.cast(kept, block.dtype)
        return ops.divide_no_nan(ops.sum(kept * block, axis=0), ops.sum(kept, axis=0))
