import numpy as np
import tensorflow as tf

from mtl_zoo.balancers import Uncertainty
from tests.harness import check_balancer, value_and_gradient


def built(log_variances):
    balancer = Uncertainty()
    balancer.build((len(log_variances),))
    balancer.log_variances.assign(log_variances)
    return balancer


def test_contract():
    check_balancer(Uncertainty)


def test_value_and_derivatives_by_hand():
    balancer = built(np.log([4.0, 0.25]))  # 1/2 (3/4 + log 4) + 1/2 (3 * 4 - log 4)
    with tf.GradientTape() as tape:
        value, gradient = value_and_gradient(balancer, [3.0, 3.0])
    np.testing.assert_allclose(value, 6.375, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.125, 2.0], rtol=1e-6)
    state = tape.gradient(value, balancer.log_variances)
    np.testing.assert_allclose(state, [0.5 * (1 - 0.75), 0.5 * (1 - 12.0)], rtol=1e-6)


def test_is_stationary_where_the_variance_is_the_loss():
    losses = np.array([0.1, 20.0])
    balancer = built(np.log(losses))
    with tf.GradientTape() as tape:
        value = balancer(losses)
    np.testing.assert_allclose(tape.gradient(value, balancer.log_variances), 0.0, atol=1e-6)


def test_absent_tasks_keep_their_variance():
    balancer = built([1.0, 2.0])
    with tf.GradientTape() as tape:
        value = balancer(np.array([3.0, 5.0]), np.array([True, False]))
    np.testing.assert_allclose(value, 0.5 * (3 / np.e + 1), rtol=1e-6)
    assert tape.gradient(value, balancer.log_variances)[1] == 0


def test_a_solved_task_is_left_out_and_keeps_its_state():
    import tensorflow as tf

    balancer = Uncertainty()
    balancer.build((2,))
    balancer.log_variances.assign([0.3, 0.3])
    with tf.GradientTape() as tape:
        value, gradient = value_and_gradient(balancer, [2.0, 0.0])
    alone = Uncertainty()
    alone.build((1,))
    alone.log_variances.assign([0.3])
    np.testing.assert_allclose(value, alone(np.array([2.0])), rtol=1e-6)
    assert gradient[1] == 0
    assert tape.gradient(value, balancer.log_variances)[1] == 0
