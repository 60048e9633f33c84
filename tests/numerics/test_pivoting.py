import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.optimize import nnls

from mtl_zoo.numerics import iterations, pivoting, quadratic
from tests.harness import assert_close

SIZE = 60
solve = tf.function(quadratic.nonnegative_qp, autograph=False)


@tf.function(autograph=False)
def solve_by_interior_point(matrix, linear):
    start = tf.ones_like(linear)
    return iterations.nonnegative_minimum(lambda x: (ops.matmul(x, matrix) + linear, matrix), start)


def ordinary(num_tasks):
    """Yield unit rows: independent, agreeing, and with a sum of zero."""
    rng = np.random.default_rng(num_tasks)
    random = rng.normal(size=(num_tasks, SIZE))
    yield from map(unit, [random, 0.3 * rng.normal(size=SIZE) + random, random - random.mean(axis=0)])


def degenerate(num_tasks):
    """Yield unit rows: more than they have columns, opposite pairs, almost the same, and of few numbers."""
    rng = np.random.default_rng(num_tasks)
    random, half = rng.normal(size=(num_tasks, SIZE)), num_tasks // 2
    yield unit(random[:, : half + 1])
    yield unit(np.concatenate([random[:half], -random[: num_tasks - half]]))
    yield unit(np.concatenate([random[:half], random[0] + 1e-4 * random[half:]]))
    yield unit(np.sign(random[:, :8]))


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def check(jacobian, solve, others):
    gramian = tf.constant(jacobian @ jacobian.T)
    x = np.asarray(solve(gramian, gramian))
    assert (x >= 0).all()
    expected = [nnls(jacobian.T, -row, maxiter=1000)[0] @ jacobian for row in jacobian]
    assert_close(x @ jacobian, expected, "multiples", 1e-6, scale=1.0)
    assert_close(x @ jacobian, others(gramian, gramian) @ jacobian, "multiples", 2e-6, scale=1.0)


@pytest.mark.parametrize("num_tasks", [2, 5, 10, 40])
def test_multiples_are_those_of_least_squares_and_of_the_interior_point(num_tasks):
    for jacobian in [*ordinary(num_tasks), *degenerate(num_tasks)]:
        check(jacobian, solve, solve_by_interior_point)


@pytest.mark.parametrize("way", [lambda qp: qp, lambda qp: tf.function(qp, jit_compile=True)])
def test_multiples_are_the_same_eagerly_and_with_xla(way):
    found = way(quadratic.nonnegative_qp)
    for jacobian in degenerate(5):
        check(jacobian, found, solve)


@pytest.mark.parametrize("num_tasks", [2, 5, 10, 40])
def test_guesses_solve_ordinary_problems_exactly(num_tasks):
    for jacobian in ordinary(num_tasks):
        matrix = jacobian @ jacobian.T + quadratic.RIDGE * np.eye(num_tasks)
        x, solved = pivoting.nonnegative_guesses(tf.constant(matrix), tf.constant(matrix))
        slopes = x @ matrix + matrix
        assert solved.numpy().all()
        np.testing.assert_allclose(np.minimum(x, slopes), 0.0, atol=1e-13)


def test_what_no_guess_solves_is_left_to_the_interior_point(monkeypatch):
    monkeypatch.setattr(pivoting, "MAX_GUESSES", 0)
    linear = np.array([[-2.0, 2.0], [1.0, 3.0]])
    _, solved = pivoting.nonnegative_guesses(tf.eye(2, dtype="float64"), tf.constant(linear))
    np.testing.assert_array_equal(solved, [False, True])
    np.testing.assert_allclose(
        quadratic.nonnegative_qp(np.eye(2), linear), [[2.0, 0.0], [0.0, 0.0]], atol=1e-10
    )
