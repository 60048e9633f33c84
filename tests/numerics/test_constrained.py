import numpy as np
import tensorflow as tf

from mtl_zoo.numerics.constrained import standard_qp


def reduced_costs(matrix, linear, rows, x):
    """Return what the objective gains with each number, at the best multipliers of the equations."""
    gradient, used = matrix @ x + linear, x > 1e-5
    dual = np.linalg.lstsq(rows[:, used].T, gradient[used], rcond=None)[0]
    return gradient - dual @ rows, used


def problem(random, size, rank):
    """A convex problem, strictly so if the rank is the size, that has a feasible point."""
    factors = random.normal(size=(rank, size)) / size
    rows = np.stack([np.ones(size), random.normal(size=size)])
    inside = random.exponential(size=size)
    return factors.T @ factors, random.normal(size=size), rows, rows @ inside / inside.sum()


def test_solutions_are_optimal():
    random = np.random.default_rng(0)
    solve = tf.function(standard_qp)
    for index in range(40):
        matrix, linear, rows, values = problem(random, 5, 5 if index % 2 else 2)
        x = solve(*map(tf.constant, (matrix, linear, rows, values))).numpy()
        np.testing.assert_allclose(rows @ x, values, atol=1e-9)
        assert (x >= 0).all()
        costs, used = reduced_costs(matrix, linear, rows, x)
        assert costs.min() > -1e-6
        np.testing.assert_allclose(costs[used], 0.0, atol=1e-6)


def test_xla_and_a_degenerate_vertex():
    """The one number that is not 0 fulfils both equations."""
    rows, linear = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, -1.0]]), np.array([0.0, 1.0, 1.0])
    arguments = map(tf.constant, (np.zeros((3, 3)), linear, rows, np.array([1.0, 0.0])))
    x = tf.function(standard_qp, jit_compile=True)(*arguments)
    np.testing.assert_allclose(x, [1.0, 0.0, 0.0], atol=1e-8)
