"""Gradients made orthogonal and equally long."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import PreferenceAggregator
from mtl_zoo.numerics.preferences import task_shares

SCALE_MODES = ("min", "median", "rmse")
RANK_TOLERANCE = 2.0**-23  # times the number of tasks and the largest eigenvalue


@keras.saving.register_keras_serializable("mtl_zoo")
class AlignedMTL(PreferenceAggregator):
    """Aligned learning: the mean of the closest orthogonal gradients of equal length.

    The principal components of the task gradients all get the same length, so that none dominates and the
    update is stable. With `G = V diag(s) V.T` the weights are `sqrt(s0) * V diag(s ** -0.5) V.T @ shares`.

    Args:
        scale_mode: The common squared length `s0` is the smallest (`"min"`), the median (`"median"`) or the
            mean (`"rmse"`) of the eigenvalues of the Gramian. Defaults to `"min"`, as in the authors' code.
        preferences: Positive numbers, one per task, that weigh the aligned gradients. Defaults to `None`:
            one over the number of tasks.

    Raises:
        ValueError: If `scale_mode` is unknown, a preference is not positive, or (when built) their number is
            not the number of tasks.

    Example:

    >>> AlignedMTL()(np.array([[2.0, 0.0], [0.0, 6.0]])).numpy().round(4)
    array([1., 1.], dtype=float32)

    Reference:
        [Senushkin et al., 2023](https://arxiv.org/abs/2305.19000)

    Note:
        As in the authors' code, eigenvalues below `T * 2**-23` times the largest count as zero, so
        tasks whose gradients are more than about 1000 times shorter than the longest may be left out.
    """

    def __init__(self, scale_mode="min", preferences=None, **kwargs):
        super().__init__(preferences, **kwargs)
        self.scale_mode = arguments.option("scale_mode", scale_mode, SCALE_MODES)

    def compute_weights(self, gramian, losses, present):
        shares = task_shares(self.preferences, gramian.shape[0], present, "float64")
        values, vectors = ops.eigh(masked(gramian, present))
        kept = values > RANK_TOLERANCE * ops.sum(ops.cast(shares > 0, "float64")) * ops.max(values)
        inverse = ops.where(kept, ops.rsqrt(ops.where(kept, values, 1.0)), 0.0)
        along = ops.matmul(ops.transpose(vectors), shares)
        length = ops.sqrt(ops.maximum(scale(values, kept, self.scale_mode), 0.0))
        return ops.cast(length * ops.matmul(vectors * inverse, along), gramian.dtype)


def masked(gramian, present):
    """Return the Gramian in float64, zero for absent tasks and where it has numbers that are not finite."""
    gramian = ops.where(ops.all(ops.isfinite(gramian)), gramian, 0.0)
    mask = ops.ones(gramian.shape[0], "float64") if present is None else ops.cast(present, "float64")
    return ops.cast(gramian, "float64") * mask * mask[:, None]


def scale(values, kept, mode):
    """Return the smallest, median or mean of the eigenvalues that are kept.

    Args:
        values: Tensor `[T]`, ascending.
        kept: Boolean tensor `[T]`: which, the largest ones.
        mode: `"min"`, `"median"` or `"rmse"`.
    """
    size, count = values.shape[0], ops.sum(ops.cast(kept, "int32"))
    if mode == "rmse":
        total = ops.sum(ops.where(kept, values, 0.0))
        return total / ops.cast(ops.maximum(count, 1), values.dtype)
    first = size - ops.maximum(count, 1)
    middle = [first, first] if mode == "min" else [(first + size - 1) // 2, (first + size) // 2]
    return ops.mean(ops.take(values, ops.stack(middle)))
