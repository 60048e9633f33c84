import numpy as np
import tensorflow as tf

from mtl_zoo.balancers import IMTLL
from tests.harness import check_balancer, value_and_gradient


def built(log_scales):
    balancer = IMTLL()
    balancer.build((len(log_scales),))
    balancer.log_scales.assign(log_scales)
    return balancer


def state_gradient(balancer, losses, present=None):
    with tf.GradientTape() as tape:
        value = balancer(np.array(losses), present)
    return np.array(tape.gradient(value, balancer.log_scales))


def test_contract():
    check_balancer(IMTLL)


def test_value_and_derivatives_by_hand():
    balancer = built(np.log([4.0, 0.5]))  # 4 * 3 - log 4 + 3 / 2 - log 1/2
    value, gradient = value_and_gradient(balancer, [3.0, 3.0])
    np.testing.assert_allclose(value, 13.5 - np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [4.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(state_gradient(balancer, [3.0, 3.0]), [11.0, 0.5], rtol=1e-6)


def test_scale_of_a_large_loss_falls_and_of_a_small_one_rises():
    gradient = state_gradient(built([0.0, 0.0]), [5.0, 0.2])  # loss - 1
    np.testing.assert_allclose(gradient, [4.0, -0.8], rtol=1e-6)


def test_is_stationary_where_all_scaled_losses_are_one():
    losses = np.array([0.1, 20.0])
    np.testing.assert_allclose(state_gradient(built(-np.log(losses)), losses), 0.0, atol=1e-6)


def test_absent_tasks_add_nothing():
    balancer, present = built([1.0, 2.0]), np.array([True, False])
    np.testing.assert_allclose(balancer(np.array([3.0, 5.0]), present), 3.0 * np.e - 1.0, rtol=1e-6)
    assert state_gradient(balancer, [3.0, 5.0], present)[1] == 0


def test_a_solved_task_is_left_out_and_keeps_its_state():
    import tensorflow as tf

    balancer = IMTLL()
    balancer.build((2,))
    balancer.log_scales.assign([0.3, 0.3])
    with tf.GradientTape() as tape:
        value, gradient = value_and_gradient(balancer, [2.0, 0.0])
    alone = IMTLL()
    alone.build((1,))
    alone.log_scales.assign([0.3])
    np.testing.assert_allclose(value, alone(np.array([2.0])), rtol=1e-6)
    assert gradient[1] == 0
    assert tape.gradient(value, balancer.log_scales)[1] == 0
