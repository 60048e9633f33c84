"""The direction nearest to one gradient along which all others gain at least a margin."""

from keras import ops

from mtl_zoo.numerics.masked import everyone
from mtl_zoo.numerics.quadratic import nonnegative_qp
from mtl_zoo.numerics.solvers import nearest_semidefinite, nonzero, normalize, shortest_known

SLACK, ROUNDING = 1e-3, 1e-9  # how much of a margin, and of a unit gradient, may be missing


def nearest_with_margins(gramian, scale, place, margin, present=None):
    """Return the weights of the direction nearest to one gradient along which the others gain a margin.

    With `h` the gradients times `scale`, it is the `d` that minimises `norm(d - h[place])` where
    `h[j] @ d >= margin * h[j] @ h[j]` for all other `j`; brought to the length of the gradient at `place`.
    Where that is absent it is the shortest `d`, over `scale[place]`.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        scale: Positive tensor `[T]`.
        place: Index of the gradient.
        margin: Non-negative number.
        present: Optional boolean tensor `[T]`; an absent gradient is no constraint. Defaults to all.

    Returns:
        Tensor `[T]`. Where no direction has all the margins, as where two of the others are opposite, or its
        parts cancel out in the precision of `gramian`, that is the gradient itself; if it is zero, all are.
    """
    present, there = everyone(present, gramian.shape[0]), nonzero(gramian, present)
    unit, norms = normalize(gramian, there)
    chosen = ops.logical_and(ops.arange(norms.shape[0]) == place, there)
    others = ops.logical_xor(there, chosen)
    target, scale = ops.cast(chosen, "float64"), ops.cast(scale, "float64")
    lengths = norms * scale
    lengths = lengths / ops.where(there[place], lengths[place], 1.0)
    parts = _nearest(unit, target, others, margin * lengths, gramian.dtype)
    squared = ops.maximum(ops.sum(parts * ops.matmul(unit, parts)), 0.0)
    own = ops.divide_no_nan(norms[place], ops.sqrt(squared))
    alone = ops.where(present[place], 0.0, 1.0 / scale[place])
    weights = parts * ops.where(there[place], own, alone) / norms
    return ops.cast(ops.where(there, weights, 0.0), gramian.dtype)


def _nearest(unit, target, others, margins, dtype):
    """Return the nearest combination of unit gradients to another one, or that one if it is not known.

    Args:
        unit: Tensor `[T, T]`, inner products of the unit gradients.
        target: Tensor `[T]`, what the other one is made of.
        others: Boolean tensor `[T]`: which gradients have margins.
        margins: Tensor `[T]`: the products that they are to have with the combination.
        dtype: Dtype of what `unit` was made of.
    """
    both = ops.logical_and(others[:, None], others[None, :])
    matrix = nearest_semidefinite(ops.where(both, unit, ops.eye(unit.shape[0], dtype="float64")))
    missing = ops.where(others, margins - ops.matmul(unit, target), -1.0)
    size = ops.maximum(ops.max(missing), 1.0)
    steps = size * nonnegative_qp(matrix, -missing[None, :] / size)[0]
    met = ops.matmul(matrix, steps) - missing >= -SLACK * margins - ROUNDING * size
    parts = target + ops.where(others, steps, 0.0)
    squared = ops.sum(parts * ops.matmul(unit, parts))
    known = squared > shortest_known(ops.sum(parts), dtype) ** 2
    found = ops.logical_and(known, ops.all(ops.logical_or(met, ~others)))
    return ops.where(found, parts, target)
