"""Equal projections on all gradients."""

import keras
from keras import ops

from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics import solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class IMTLG(GramianAggregator):
    """Impartial learning: the direction has the same projection on every unit gradient.

    Its weights have sum 1. They may be negative: then the direction raises losses.

    Example:

    >>> IMTLG()(np.array([[2.0, 0.0], [0.0, 6.0]])).numpy().round(4)
    array([1.5, 1.5], dtype=float32)

    Reference:
        [Liu et al., 2021](https://openreview.net/forum?id=IMPnRXEWpvr)

    Note:
        Where no such direction exists (dependent gradients), projections are equal in the sense of least
        squares. If they are zero, or the weights have sum zero, so is the direction. A zero gradient is left
        out.
    """

    def compute_weights(self, gramian, losses, present):
        weights = solvers.equal_cosines(gramian, ops.ones(gramian.shape[0]), present)
        total, size = ops.sum(weights), ops.sum(ops.abs(weights))
        return ops.where(ops.abs(total) > 1e-6 * size, ops.divide_no_nan(weights, total), 0.0)
