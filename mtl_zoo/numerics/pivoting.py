"""Quadratic forms over non-negative numbers, by guesses of which of them are not zero."""

from keras import ops

TOLERANCE = 1e-14  # below zero by so much, times the sum of a row, is rounding
CHANCES = 3  # guesses in turn that may be no better, until single numbers are exchanged
MAX_GUESSES = 15


def nonnegative_guesses(matrix, linear):
    """Minimise `x @ matrix @ x / 2 + linear[i] @ x` over `x >= 0`, for every row of `linear`.

    A guess of the numbers that are free, where the others are zero, gives them by one linear system. It is
    wrong where a free one is negative, and where the minimum falls as a zero grows: both are exchanged for
    the next guess, or the last of them alone, which ends in theory, after too many guesses in vain.

    Args:
        matrix: Positive definite tensor `[T, T]` with entries of at most about 1, float64.
        linear: Tensor `[n, T]`, float64.

    Returns:
        Tuple of the solutions `[n, T]`, exact but for rounding, and a boolean tensor `[n]`: whether the row
        was solved. One in some hundred is not, where `matrix` is almost singular.

    Reference:
        [Kim & Park, 2011](https://doi.org/10.1137/110821172), whose block principal pivoting this is
    """
    identity, places = ops.eye(matrix.shape[0], dtype=matrix.dtype), ops.arange(matrix.shape[0])

    def unfinished(free, wrong, fewest, chances, x):
        return ops.any(wrong)

    def guess(free, wrong, fewest, chances, x):
        number = ops.sum(ops.cast(wrong, "int32"), axis=-1, keepdims=True)
        chances = ops.where(number < fewest, CHANCES, chances - 1)
        last = ops.max(ops.where(wrong, places, -1), axis=-1, keepdims=True)
        free = ops.logical_xor(free, ops.where(chances >= 0, wrong, places == last))
        x = solution(free)
        tolerance = TOLERANCE * (1.0 + ops.sum(ops.abs(x), axis=-1, keepdims=True))
        wrong = ops.where(free, x, ops.matmul(x, matrix) + linear) < -tolerance
        return free, wrong, ops.minimum(fewest, number), chances, x

    def solution(free):
        both = ops.logical_and(free[:, :, None], free[:, None, :])
        system, goal = ops.where(both, matrix, identity), ops.where(free, -linear, 0.0)[..., None]
        q, r = ops.qr(system)  # in a graph, `ops.solve` of Keras 3.8 fails
        return ops.solve_triangular(r, ops.matmul(ops.swapaxes(q, -1, -2), goal))[..., 0]

    none = ops.zeros_like(linear)
    most = ops.full_like(none[:, :1], matrix.shape[0] + 1, "int32")
    start = (ops.cast(none, "bool"), linear < -TOLERANCE, most, most, none)
    _, wrong, _, _, x = ops.while_loop(unfinished, guess, start, maximum_iterations=MAX_GUESSES)
    return ops.maximum(x, 0.0), ~ops.any(wrong, axis=-1)
