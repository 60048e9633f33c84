import numpy as np

from mtl_zoo.balancers import GeometricMean
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(GeometricMean)


def test_value_and_gradient_by_hand():
    value, gradient = value_and_gradient(GeometricMean(), [2.0, 8.0])  # sqrt(16); 4 / (2 loss)
    np.testing.assert_allclose(value, 4.0, rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0, 0.25], rtol=1e-6)


def test_value_and_gradient_against_numpy():
    losses = np.random.default_rng(0).gamma(1.0, size=7)
    value, gradient = value_and_gradient(GeometricMean(), losses)
    np.testing.assert_allclose(value, losses.prod() ** (1 / 7), rtol=1e-5)
    np.testing.assert_allclose(gradient, losses.prod() ** (1 / 7) / 7 / losses, rtol=1e-5)


def test_scales_with_the_root_of_every_scale():
    one = value_and_gradient(GeometricMean(), [2.0, 3.0, 4.0])
    other = value_and_gradient(GeometricMean(), [16.0, 3.0, 4.0])
    np.testing.assert_allclose(other[0], 2.0 * one[0], rtol=1e-6)
    np.testing.assert_allclose(other[1], one[1] * [0.25, 2.0, 2.0], rtol=1e-6)


def test_mean_is_over_the_present_tasks():
    value, gradient = value_and_gradient(GeometricMean(), [2.0, 0.0, 8.0], np.array([True, False, True]))
    np.testing.assert_allclose(value, 4.0, rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0, 0.0, 0.25], rtol=1e-6)


def test_a_solved_task_is_left_out():
    for loss in (0.0, -1.0):
        value, gradient = value_and_gradient(GeometricMean(), [2.0, loss, 8.0])
        np.testing.assert_allclose(value, 4.0, rtol=1e-6)
        np.testing.assert_allclose(gradient, [1.0, 0.0, 0.25], rtol=1e-6)
    value, gradient = value_and_gradient(GeometricMean(), [0.0, 0.0])
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
