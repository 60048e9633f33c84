"""Quadratic programs with bounds, on `[T, T]` matrices in float64, on which `solvers` builds."""

from keras import ops

from mtl_zoo.numerics.iterations import nonnegative_minimum

RIDGE = 1e-12  # makes a quadratic form definite, for multipliers that are not unique


def simplex_qp(matrix, scale):
    """Minimise `x @ matrix @ x / 2` over `x >= 0` with `scale @ x = 1`.

    Penalising `(scale @ x - 1) ** 2 / 2` instead only shrinks the solution, since the rest is homogeneous.

    Args:
        matrix: Positive semi-definite tensor `[T, T]` with entries of at most about 1, float64.
        scale: Non-negative tensor `[T]` with largest entry 1, float64.

    Returns:
        Tensor `[T]`, within a duality gap of 1e-13.
    """
    penalised = matrix + scale[:, None] * scale[None, :]
    start = ops.ones_like(scale) / ops.sum(scale)
    x = nonnegative_minimum(lambda x: (ops.matmul(penalised, x) - scale, penalised), start)
    return x / ops.sum(scale * x)


def nonnegative_qp(matrix, linear):
    """Minimise `x @ matrix @ x / 2 + linear[i] @ x` over `x >= 0`, for every row of `linear`.

    Args:
        matrix: Positive semi-definite tensor `[T, T]` with entries of at most about 1, float64.
        linear: Tensor `[n, T]`, float64. Each row is in the range of `matrix`.

    Returns:
        Tensor `[n, T]`, within a duality gap of 1e-13.
    """
    matrix = matrix + RIDGE * ops.eye(matrix.shape[0], dtype=matrix.dtype)
    return nonnegative_minimum(lambda x: (ops.matmul(x, matrix) + linear, matrix), ops.ones_like(linear))
