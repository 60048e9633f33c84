import numpy as np

from mtl_zoo.balancers import Logarithm
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(Logarithm)


def test_value_and_gradient_by_hand():
    value, gradient = value_and_gradient(Logarithm(), [0.5, 4.0])  # log 2, weights 1 / loss
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [2.0, 0.25], rtol=1e-6)


def test_weighted_losses_do_not_depend_on_their_scale():
    losses, scale = np.array([0.3, 2.0, 7.0]), np.array([1e-6, 1.0, 1e6])
    gradient = value_and_gradient(Logarithm(), losses * scale)[1]
    np.testing.assert_allclose(gradient * losses * scale, 1.0, rtol=1e-5)


def test_absent_tasks_add_nothing():
    value, gradient = value_and_gradient(Logarithm(), [2.0, 0.0], np.array([True, False]))
    np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.5, 0.0], rtol=1e-6)


def test_a_solved_task_is_left_out():
    for loss in (0.0, -1.0):
        value, gradient = value_and_gradient(Logarithm(), [loss, 2.0])
        np.testing.assert_allclose(value, np.log(2.0), rtol=1e-6)
        np.testing.assert_allclose(gradient, [0.0, 0.5], rtol=1e-6)
