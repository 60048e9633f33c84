"""Quadratic programs with bounds and equations, on small matrices in float64."""

from keras import ops

from mtl_zoo.numerics.iterations import GAP, MAX_ITERATIONS, ROUNDING, step_length
from mtl_zoo.numerics.solvers import diagonal_matrix

MISSING = 1e-10  # by how much an equation may not hold
JITTER = 1e-12  # keeps equations apart that are nearly one


def standard_qp(matrix, linear, rows, values):
    """Minimise `x @ matrix @ x / 2 + linear @ x` over `x >= 0` with `rows @ x = values`.

    By a primal-dual interior point (Mehrotra, 1992), which meets the equations on its way.

    Args:
        matrix: Positive semi-definite tensor `[n, n]` with entries of at most about 1, float64.
        linear: Tensor `[n]`, float64.
        rows: Tensor `[m, n]`, float64. Some `x >= 0` fulfils the equations.
        values: Tensor `[m]`, float64.

    Returns:
        Tensor `[n]`, within a duality gap of 1e-13.
    """

    def unfinished(x, slack, dual):
        missing = ops.max(ops.abs(values - ops.matmul(rows, x)))
        return ops.logical_or(ops.sum(x * slack) > GAP, missing > MISSING)

    def newton(x, slack, dual):
        direction = _directions(matrix, linear, (rows, values), (x, slack, dual))
        gap = ops.mean(x * slack)
        step, slack_step, _ = direction(ops.zeros_like(x))
        reached = (x + step_length(x, step) * step) * (slack + step_length(slack, slack_step) * slack_step)
        centring = (ops.mean(reached) / gap) ** 3
        step, slack_step, change = direction(centring * gap - step * slack_step)
        length = 0.99 * ops.minimum(step_length(x, step), step_length(slack, slack_step))
        return x + length * step, slack + length * slack_step, dual + length * change

    loop = (ops.ones_like(linear), ops.ones_like(linear), ops.zeros_like(values))
    return ops.while_loop(unfinished, newton, loop, maximum_iterations=MAX_ITERATIONS)[0]


def _directions(matrix, linear, equations, place):
    """Return a function of the products of `x` and slack to aim at, which returns the steps of all three."""
    (rows, values), (x, slack, dual) = equations, place
    gradient = ops.matmul(matrix, x) + linear - ops.matmul(dual, rows)
    missing = values - ops.matmul(rows, x)
    solve = _solver(matrix + diagonal_matrix(slack / x + ROUNDING * x.shape[0] ** 2))
    across = solve(ops.transpose(rows))
    between = _solver_of_any_scale(ops.matmul(rows, across))

    def direction(target):
        free = solve((target / x - gradient)[:, None])
        change = between(missing[:, None] - ops.matmul(rows, free))
        step = (free + ops.matmul(across, change))[:, 0]
        return step, (target - slack * step) / x - slack, change[:, 0]

    return direction


def _solver(matrix):
    """Return a function that solves equations with a positive definite matrix, for columns."""
    factor = ops.cholesky(matrix)

    def solve(columns):
        half = ops.solve_triangular(factor, columns, lower=True)
        return ops.solve_triangular(ops.transpose(factor), half)

    return solve


def _solver_of_any_scale(matrix):
    """Return what `_solver` does, for a matrix whose rows may differ by many orders of magnitude."""
    scale = 1.0 / ops.sqrt(ops.diagonal(matrix))
    unit = scale[:, None] * matrix * scale
    solve = _solver(unit + JITTER * ops.eye(matrix.shape[0], dtype=matrix.dtype))
    return lambda columns: scale[:, None] * solve(scale[:, None] * columns)
