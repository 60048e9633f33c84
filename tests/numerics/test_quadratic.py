import numpy as np

from mtl_zoo.numerics import quadratic


def test_simplex_qp_by_hand():
    # x1² + x2² with x1 + x2 / 2 = 1: x = (4/5, 2/5)
    np.testing.assert_allclose(quadratic.simplex_qp(np.eye(2), np.array([1.0, 0.5])), [0.8, 0.4], atol=1e-10)


def test_nonnegative_qp_by_hand():
    # (x1 - 1)² + (x2 + 1)², and from the other side
    linear = np.array([[-2.0, 2.0], [2.0, -2.0]])
    np.testing.assert_allclose(quadratic.nonnegative_qp(2 * np.eye(2), linear), np.eye(2), atol=1e-10)
