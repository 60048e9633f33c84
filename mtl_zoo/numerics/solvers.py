"""Exact solvers for the small problems that aggregators pose on `[T, T]` matrices.

All compile with XLA. They work on unit gradients, so that norms may differ by many orders of magnitude, and
in float64, which costs nothing at this size. What is not exact is the Gramian they receive: in float32 it
knows gradients to about 1e-7 of their length, and no answer can be better than that.

Every problem with bounds is one of `iterations.nonnegative_minimum`: the min-norm point, the projections on
the dual cone, and the bargaining equation, whose solution is the minimum of a quadratic form minus utilities.
"""

import keras
from keras import ops

from mtl_zoo.numerics.iterations import decreasing_root, nonnegative_minimum
from mtl_zoo.numerics.masked import everyone
from mtl_zoo.numerics.quadratic import nonnegative_qp, simplex_qp


def min_norm(gramian, present=None):
    """Return the weights of the shortest vector in the convex hull of the gradients.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        present: Optional boolean tensor `[T]`; an absent gradient gets weight 0. Defaults to all.

    Returns:
        Tensor `[T]`, non-negative, with sum 1. A zero gradient among those present gets all the weight; if
        none is present, the weights are equal.
    """
    present = everyone(present, gramian.shape[0])
    if gramian.shape[0] == 2:
        return min_norm_of_two(gramian, present)
    unit, norms = normalize(gramian, present)
    shortest = ops.min(ops.where(present, norms, ops.max(norms)))
    scale = ops.where(present, shortest / norms, 0.0)
    scale = ops.where(ops.any(present), scale, ops.ones_like(scale))
    weights = scale * simplex_qp(nearest_semidefinite(unit), scale)
    return ops.cast(weights / ops.sum(weights), gramian.dtype)


def min_norm_above(gramian, least, present=None):
    """Return the weights that `min_norm` does, of those that are not below smallest ones.

    They are `least` and what is left divided as the gradients `g @ least + left * g[j]` are in their hull.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        least: Non-negative tensor `[T]` of sum at most 1.
        present: As for `min_norm`; `least` of an absent gradient does not count.
    """
    present = everyone(present, gramian.shape[0])
    gramian64 = ops.cast(gramian, "float64")
    least = ops.where(present, ops.cast(least, "float64"), 0.0)
    left = ops.maximum(1.0 - ops.sum(least), 0.0)
    along = ops.matmul(gramian64, least)
    cross = left * along
    shifted = left**2 * gramian64 + cross[:, None] + cross[None, :] + ops.sum(least * along)
    return ops.cast(least + left * min_norm(shifted, present), gramian.dtype)


def min_norm_of_two(gramian, present):
    """Return what `min_norm` does for two gradients, in closed form.

    Args:
        gramian: Tensor `[2, 2]`.
        present: Boolean tensor `[2]`.

    Returns:
        Tensor `[2]`.
    """
    product = ops.cast(gramian[0, 1], "float64")
    squares = ops.cast(ops.diagonal(gramian), "float64")
    distance = ops.sum(squares) - 2.0 * product
    inside = ops.isfinite(distance) & (distance > 0)
    first = ops.where(inside, (squares[1] - product) / ops.where(inside, distance, 1.0), 0.5)
    first = ops.clip(first, 0.0, 1.0)
    alone = ops.where(ops.any(present), ops.cast(present, "float64"), 0.5)
    weights = ops.where(ops.all(present), ops.stack([first, 1.0 - first]), alone)
    return ops.cast(weights, gramian.dtype)


def project_on_dual_cone(gramian, rows, present=None):
    """Return the weights of the projections of weighted gradients on the cone that opposes no gradient.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        rows: Tensor `[n, T]`: each row has the non-negative weights of one vector to project.
        present: Optional boolean tensor `[T]`; an absent gradient is no constraint. Defaults to all.

    Returns:
        Tensor `[n, T]`, non-negative. A projection too short to know its direction in the precision of
        `gramian` (under 1e-3 of its parts in float32) is zero.
    """
    present = everyone(present, gramian.shape[0])
    unit, norms = normalize(gramian, present)
    unit = nearest_semidefinite(unit)
    rows = ops.where(present, ops.cast(rows, "float64") * norms, 0.0)
    lengths = ops.sqrt(ops.maximum(ops.sum(ops.matmul(rows, unit) * rows, axis=1, keepdims=True), 0.0))
    rows = ops.divide_no_nan(rows, lengths)
    weights = rows + nonnegative_qp(unit, ops.matmul(rows, unit))
    squared = ops.sum(ops.matmul(weights, unit) * weights, axis=1, keepdims=True)
    known = squared > shortest_known(ops.sum(weights, axis=1, keepdims=True), gramian.dtype) ** 2
    weights = ops.where(ops.logical_and(known, present), lengths * weights / norms, 0.0)
    return ops.cast(weights, gramian.dtype)


def bargain(gramian, alpha=1.0, present=None):
    """Return the positive weights `a` with `gramian @ a = a ** (-1 / alpha)`.

    They are the minimum of `a @ gramian @ a / 2` minus the concave utilities `a ** (1 - 1 / alpha)` over
    `1 - 1 / alpha`, or `log(a)` where `alpha` is 1.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        alpha: Positive number. Defaults to 1.0.
        present: Optional boolean tensor `[T]`; an absent gradient is left out. Defaults to all.

    Returns:
        Tensor `[T]`. Absent and zero gradients have weight 0. If a convex combination of gradients is zero in
        the precision of `gramian`, no solution exists; then its weights are large but finite, or all zero if
        nothing remains beside it.
    """
    present = nonzero(gramian, present)
    unit, norms = normalize(gramian, present)
    norms = ops.where(present, norms, ops.max(norms))
    longest, size = ops.max(norms), norms.shape[0]
    ridge = epsilon(gramian.dtype)
    matrix = nearest_semidefinite(unit) + ridge * ops.eye(size, dtype="float64")
    factor = (norms / longest) ** (1 / alpha - 1)

    def derivatives(x):
        utility = factor * x ** (-1 / alpha)
        return ops.matmul(matrix, x) - utility, matrix + diagonal_matrix(utility / (alpha * x))

    start = factor ** (alpha / (1 + alpha)) * ops.sqrt(size / ops.maximum(ops.sum(unit), 1e-3 * size))
    x = nonnegative_minimum(derivatives, start)
    stationary = ridge * ops.sum(x * x) > 0.9 * ops.sum(x * ops.matmul(matrix, x))
    weights = x / norms * longest ** ((1 - alpha) / (1 + alpha))
    return ops.cast(ops.where(ops.logical_and(present, ~stationary), weights, 0.0), gramian.dtype)


def conflict_averse(gramian, radius, present=None):
    """Return the weights of the best direction for the worst task in a ball around the mean gradient.

    The ball is `radius * norm(mean)` wide. The direction is the mean plus `1 / shift` times the convex
    combination `g` of gradients such that `g + shift * mean` is the shortest in the hull of the gradients
    shifted by `shift * mean`, where `shift` makes it touch the sphere: a root in one number.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        radius: Non-negative number.
        present: Optional boolean tensor `[T]`; an absent gradient is left out. Defaults to all.

    Returns:
        Tensor `[T]`. At a Pareto-stationary point with `radius >= 1` the direction is one inside the ball, or
        zero if it is too short to be known in the precision of `gramian`.
    """
    present = everyone(present, gramian.shape[0])
    gramian64 = ops.cast(ops.where(ops.all(ops.isfinite(gramian)), gramian, 0.0), "float64")
    _, norms = normalize(gramian, present)
    shortest, longest = (f(ops.where(present, norms, ops.max(norms))) for f in (ops.min, ops.max))
    mean = _mean_weights(present)
    along = ops.matmul(gramian64, mean)
    squared = ops.sum(mean * along)
    reach = radius * ops.sqrt(ops.maximum(squared, 0.0))
    has_ball = reach > epsilon(gramian.dtype) * longest
    reach = ops.where(has_ball, reach, longest)

    def combination(log_shift):
        shift = ops.exp(log_shift)
        cross = shift * along
        return min_norm(gramian64 + cross[:, None] + cross[None, :] + shift**2 * squared, present)

    def excess(log_shift):
        weights = combination(log_shift)
        length = ops.sqrt(ops.maximum(ops.sum(weights * ops.matmul(gramian64, weights)), 0.0))
        return ops.log(ops.maximum(length, 1e-12 * longest) / reach) - log_shift

    low = ops.log(max(epsilon(gramian.dtype) ** 0.5, 1e-6) * shortest / reach)
    log_shift = decreasing_root(excess, low, ops.log(longest / reach))
    weights = mean + ops.where(has_ball, combination(log_shift) / ops.exp(log_shift), 0.0)
    squared = ops.sum(weights * ops.matmul(gramian64, weights))
    known = squared > shortest_known(ops.sum(weights * norms), gramian.dtype) ** 2
    return ops.cast(ops.where(ops.logical_or(known, log_shift > low), weights, 0.0), gramian.dtype)


def equal_cosines(gramian, target, present=None):
    """Return the weights of the direction whose products with the unit gradients are `target`.

    Args:
        gramian: Tensor `[T, T]`, inner products of the gradients.
        target: Tensor `[T]`.
        present: Optional boolean tensor `[T]`; an absent gradient is left out. Defaults to all.

    Returns:
        Tensor `[T]`: on the numerical rank of the unit gradients, so of least norm and in the sense of least
        squares. Absent and zero gradients have weight 0, and all do if none of `target` can be met.
    """
    present = nonzero(gramian, present)
    unit, norms = normalize(gramian, present)
    target = ops.where(present, ops.cast(target, "float64"), 0.0)
    values, vectors = ops.eigh(unit)
    along = ops.matmul(ops.transpose(vectors), target)
    along = ops.where(values > 10 * epsilon(gramian.dtype) * ops.max(values), along, 0.0)
    known = ops.norm(along) > shortest_known(ops.norm(target), gramian.dtype)
    weights = ops.matmul(vectors, along / ops.where(along == 0, 1.0, values))
    return ops.cast(ops.where(ops.logical_and(present, known), weights / norms, 0.0), gramian.dtype)


def nonzero(gramian, present=None):
    """Return the mask `[T]` of the present tasks whose gradient is not zero."""
    positive = ops.diagonal(gramian) > 0
    return positive if present is None else ops.logical_and(ops.cast(present, "bool"), positive)


def epsilon(dtype):
    """Return the rounding error of a dtype."""
    return {"float64": 2.3e-16, "float32": 1.2e-7}.get(keras.backend.standardize_dtype(dtype), 1e-3)


def shortest_known(length, dtype):
    """Return from which length the direction of a sum is known, if its parts of `length` are in `dtype`."""
    return 1e4 * epsilon(dtype) * length


def normalize(gramian, present):
    """Return the Gramian of the unit gradients and their norms, in float64.

    One with NaN or infinity, of which no direction can come, counts as the identity: a factorization would
    fail on it, and end the training that loss scaling would have continued.

    Args:
        gramian: Tensor `[T, T]`.
        present: Boolean tensor `[T]`. The others become unit vectors orthogonal to all.

    Returns:
        Tuple of tensors `[T, T]` and `[T]`. Norms are at least 1e-12 of the largest.
    """
    gramian = ops.cast(gramian, "float64")
    finite = ops.all(ops.isfinite(gramian))
    gramian = ops.where(finite, gramian, ops.eye(gramian.shape[0], dtype="float64"))
    norms = ops.sqrt(ops.maximum(ops.diagonal(gramian), 0.0))
    largest = ops.max(ops.where(present, norms, 0.0))
    norms = ops.maximum(norms, 1e-12 * ops.where(largest > 0, largest, 1.0))
    both = ops.logical_and(present[:, None], present[None, :])
    unit = ops.where(both, gramian / (norms[:, None] * norms[None, :]), 0.0)
    absent = ops.cast(ops.logical_not(present), "float64")
    return unit + diagonal_matrix(absent), norms


def diagonal_matrix(vector):
    """Return the matrix `[T, T]` with a vector `[T]` on its diagonal and zeros beside it.

    Note:
        `ops.diag` of older Keras, 3.10 among them, asks in the graph whether the vector is empty, and XLA
        compiles no shape that depends on the answer.
    """
    return ops.where(ops.eye(vector.shape[0], dtype="bool"), vector, ops.zeros_like(vector))


def nearest_semidefinite(matrix):
    """Return the closest positive semi-definite matrix: one rounded to float32 may miss it by 1e-6.

    Args:
        matrix: Symmetric tensor `[T, T]`.

    Returns:
        Tensor `[T, T]`.
    """
    values, vectors = ops.eigh(matrix)
    return ops.matmul(vectors * ops.maximum(values, 0.0), ops.transpose(vectors))


def project_simplex(vector, present=None):
    """Return the closest vector of non-negative numbers with sum 1.

    Args:
        vector: Tensor `[T]`.
        present: Optional boolean tensor `[T]`; an absent entry gets 0. Defaults to all.

    Returns:
        Tensor `[T]`. If no entry is present, its entries are equal.
    """
    if present is not None:
        highest = ops.max(ops.where(present, vector, ops.min(vector)))
        vector = ops.where(present, vector, highest - 1.0)
    vector = vector - ops.max(vector)
    descending = ops.flip(ops.sort(vector))
    count = ops.cast(ops.arange(1, vector.shape[0] + 1), vector.dtype)
    excess = (ops.cumsum(descending) - 1.0) / count
    threshold = ops.max(ops.where(descending > excess, excess, -1.0))
    return ops.maximum(vector - threshold, 0.0)


def _mean_weights(present):
    """Return equal weights of the present tasks, in float64."""
    present = ops.cast(present, "float64")
    return present / ops.maximum(ops.sum(present), 1.0)
