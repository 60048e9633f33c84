import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.balancers import LDC
from tests.harness import check_balancer, value_and_gradient


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_numpy(losses, logits, start, strength):
    """Return the scalar and its derivatives by losses and logits, in float64."""
    units = start.min() / start
    weights, scaled = sigmoid(logits), losses * units
    shares, signs = weights / weights.sum(), np.sign(np.diff(weights * scaled))
    pull = strength * (np.append(0.0, signs) - np.append(signs, 0.0))  # of the weighted losses
    value = shares @ scaled + strength * np.abs(np.diff(weights * scaled)).sum()
    slope = weights * (1 - weights) * scaled
    return value, (shares + pull * weights) * units, slope / weights.sum() + pull * slope


def call(balancer, losses, present=None):
    with tf.GradientTape() as tape:
        value, gradient = value_and_gradient(balancer, losses, present)
    return value, gradient, tape.gradient(value, balancer.task_logits)


def test_contract():
    check_balancer(LDC)


@pytest.mark.parametrize("rescale", [True, False])
def test_by_numpy_over_steps_of_descent(rescale):
    balancer, logits = LDC(0.2, rescale), np.ones(4)
    losses = np.random.default_rng(0).gamma(2.0, size=(8, 4)) * [0.1, 1.0, 1.0, 5.0]
    losses[0] = [0.2, 1.3, 2.0, 4.0]
    start = losses[0] if rescale else np.ones(4)
    for number, batch in enumerate(losses):
        value, gradient, slope = call(balancer, batch)
        expected = by_numpy(batch, logits, start, 0.2)
        np.testing.assert_allclose(value, expected[0], rtol=1e-5)
        if number or not rescale:  # at first all are alike
            np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(slope, expected[2], rtol=1e-4, atol=1e-6)
        balancer.task_logits.assign_sub(0.5 * slope)
        logits = np.array(balancer.task_logits, "float64")


def test_golden_value():
    value, gradient, slope = call(LDC(0.1, rescale=False), [1.0, 3.0])
    weight = sigmoid(1.0)
    np.testing.assert_allclose(value, 2 + 0.2 * weight, rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.5 - 0.1 * weight, 0.5 + 0.1 * weight], rtol=1e-6)
    halves = (1 - weight) * np.array([0.5 - 0.1 * weight, 1.5 + 0.3 * weight])
    np.testing.assert_allclose(slope, halves, rtol=1e-5)


def test_weighted_losses_meet():
    balancer, losses = LDC(rescale=False), tf.constant([1.0, 2.0, 5.0])
    balancer.build((3,))

    @tf.function
    def descend():
        balancer.task_logits.assign_sub(0.3 * call(balancer, losses)[2])

    for _ in range(300):
        descend()
    weighted = losses * sigmoid(np.array(balancer.task_logits, "float64"))
    np.testing.assert_allclose(weighted / np.mean(weighted), 1.0, atol=0.05)


def test_neighbours_are_the_next_present_tasks():
    present = np.array([True, False, True, True])
    some = call(LDC(0.5, rescale=False), [1.0, 100.0, 4.0, 2.0], present)
    alone = call(LDC(0.5, rescale=False), [1.0, 4.0, 2.0])
    np.testing.assert_allclose(some[0], alone[0], rtol=1e-6)
    for found, expected in zip(some[1:], alone[1:], strict=True):
        np.testing.assert_allclose(np.array(found)[present], expected, rtol=1e-5)
        assert found[1] == 0


def test_weights_that_have_all_fallen_still_share():
    balancer = LDC(0.0, rescale=False)
    balancer.build((2,))
    balancer.task_logits.assign([-200.0, -200.0])  # sigmoids are 0 in float32
    np.testing.assert_allclose(call(balancer, [1.0, 3.0])[1], [0.5, 0.5], rtol=1e-5)


def test_a_task_starts_where_it_is_first_seen():
    balancer = LDC()
    call(balancer, [4.0, 0.0], np.array([True, False]))
    np.testing.assert_array_equal(balancer.start, [4.0, 0.0])
    call(balancer, [2.0, 0.5])
    np.testing.assert_array_equal(balancer.start, [4.0, 0.5])


def test_arguments():
    with pytest.raises(ValueError, match=r"must not be negative. Received: strength=-1"):
        LDC(-1)
    with pytest.raises(ValueError, match=r"must be `True` or `False`. Received: rescale=1"):
        LDC(rescale=1)
