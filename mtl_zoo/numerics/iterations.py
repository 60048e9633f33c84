"""Iterations that end early and compile with XLA, on which `mtl_zoo.numerics.solvers` builds."""

from keras import ops

GAP = 1e-13  # where the interior-point iteration stops
ROUNDING = 1e-15  # what factoring a matrix of entries up to 1 may lose, times its size squared
ROOT_TOLERANCE = 1e-8
MAX_ITERATIONS = 40


def nonnegative_minimum(derivatives, start):
    """Minimise convex functions over `x >= 0`, by a primal-dual interior point (Mehrotra, 1992).

    Args:
        derivatives: Function of `x` that returns the gradient, `[..., T]`, and the Hessian, `[..., T, T]`.
        start: Positive tensor `[..., T]`, float64. Leading axes count problems of one shape.

    Returns:
        Tensor `[..., T]`, within a duality gap of 1e-13.
    """
    size = start.shape[-1]
    identity, ridge = ops.eye(size, dtype=start.dtype), ROUNDING * size**2

    def unfinished(x, slack):
        return ops.any(ops.sum(x * slack, axis=-1) > GAP)

    def newton(x, slack):
        gradient, hessian = derivatives(x)
        factor = ops.cholesky(hessian + identity * (slack / x + ridge)[..., None])

        def direction(target):
            half = ops.solve_triangular(factor, (target / x - gradient)[..., None], lower=True)
            step = ops.solve_triangular(ops.swapaxes(factor, -1, -2), half)[..., 0]
            return step, (target - slack * step) / x - slack

        gap = ops.mean(x * slack, axis=-1, keepdims=True)
        step, slack_step = direction(ops.zeros_like(x))
        reached = (x + step_length(x, step) * step) * (slack + step_length(slack, slack_step) * slack_step)
        centring = (ops.mean(reached, axis=-1, keepdims=True) / gap) ** 3
        step, slack_step = direction(centring * gap - step * slack_step)
        length = 0.99 * ops.minimum(step_length(x, step), step_length(slack, slack_step))
        length = ops.where(gap * x.shape[-1] > GAP, length, 0.0)
        return x + length * step, slack + length * slack_step

    loop = (start, ops.ones_like(start))
    return ops.while_loop(unfinished, newton, loop, maximum_iterations=MAX_ITERATIONS)[0]


def decreasing_root(function, low, high):
    """Return where a function with slopes between -1 and 0 crosses zero in an interval, by secants.

    Args:
        function: Function of a number.
        low: Number, the answer where the function is negative throughout.
        high: Number, at which the function is not positive.

    Returns:
        Tensor `[]`.
    """

    def unfinished(low, high, x, last, value):
        return ops.abs(x - last) > ROOT_TOLERANCE

    def secant(low, high, x, last, last_value):
        value = function(x)
        slope = ops.clip((value - last_value) / (x - last), -1.0, -1e-3)
        low, high = ops.where(value > 0, x, low), ops.where(value > 0, high, x)
        return low, high, ops.clip(x - value / slope, low, high), x, value

    infinity = ops.full((), float("inf"), high.dtype)
    start = (low, high, high, high - 1.0, infinity)
    return ops.while_loop(unfinished, secant, start, maximum_iterations=MAX_ITERATIONS)[2]


def step_length(x, step):
    """Return the largest step of at most 1 / 0.99 that keeps `x` non-negative, per problem."""
    longest = ops.where(step < 0, -x / ops.where(step < 0, step, -1.0), 1.0 / 0.99)
    return ops.min(longest, axis=-1, keepdims=True)
