"""Quadratic programs with bounds, on `[T, T]` matrices in float64, on which `solvers` builds."""

from keras import ops

from mtl_zoo.numerics.iterations import nonnegative_minimum
from mtl_zoo.numerics.pivoting import nonnegative_guesses

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

    Guesses solve most rows a few times as fast as the interior point, which is left the others.

    Args:
        matrix: Positive semi-definite tensor `[T, T]` with entries of at most about 1, float64.
        linear: Tensor `[n, T]`, float64. Each row is in the range of `matrix`.

    Returns:
        Tensor `[n, T]`, within a duality gap of 1e-13.
    """
    matrix = matrix + RIDGE * ops.eye(matrix.shape[0], dtype=matrix.dtype)
    x, solved = nonnegative_guesses(matrix, linear)

    def with_the_rest():
        def derivatives(x):
            return ops.matmul(x, matrix) + linear, matrix

        return ops.where(solved[:, None], x, nonnegative_minimum(derivatives, ops.ones_like(linear)))

    return ops.cond(ops.all(solved), lambda: x, with_the_rest)
