import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mtl_zoo.numerics import iterations


def test_nonnegative_minimum_of_a_batch_of_quadratics():
    goals = np.array([[1.0, -2.0], [3.0, 4.0], [-1.0, -1.0]])  # min (x - goal)² / 2

    def derivatives(x):
        return x - goals, np.eye(2)

    x = iterations.nonnegative_minimum(derivatives, ops.ones((3, 2), "float64"))
    np.testing.assert_allclose(x, np.maximum(goals, 0.0), atol=1e-10)


def test_nonnegative_minimum_of_a_function_that_is_not_quadratic():
    def derivatives(x):  # 2 x1 - log(x1) + exp(x2)
        zero, ones = ops.zeros_like(x[0]), ops.ones_like(x[0])
        gradient = ops.stack([2.0 - 1.0 / x[0], ops.exp(x[1])])
        return gradient, ops.diag(ops.stack([1.0 / x[0] ** 2, ops.exp(x[1]) * ones + zero]))

    x = iterations.nonnegative_minimum(derivatives, ops.ones(2, "float64"))
    np.testing.assert_allclose(x, [0.5, 0.0], atol=1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_nonnegative_minimum_is_finite_where_there_is_none(jit_compile):
    def derivatives(x):  # -x1 falls for ever
        return ops.convert_to_tensor([-1.0, 1.0], "float64"), ops.zeros((2, 2), "float64")

    solve = tf.function(iterations.nonnegative_minimum, jit_compile=jit_compile)
    assert np.isfinite(solve(derivatives, ops.ones(2, "float64"))).all()


@pytest.mark.parametrize("root", [-3.0, 0.3, 4.0])
def test_decreasing_root(root):
    function = lambda x: (root - x) * 0.5 - 0.4 * ops.tanh(x - root)  # noqa: E731
    low, high = ops.cast(-10.0, "float64"), ops.cast(10.0, "float64")
    assert float(iterations.decreasing_root(function, low, high)) == pytest.approx(root, abs=1e-7)


def test_decreasing_root_is_low_where_the_function_is_negative():
    low, high = ops.cast(-1.0, "float64"), ops.cast(1.0, "float64")
    assert float(iterations.decreasing_root(lambda x: -5.0 - 0.5 * x, low, high)) == -1.0
