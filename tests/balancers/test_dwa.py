import numpy as np
import pytest

from mtl_zoo.balancers import DWA
from tests.harness import check_balancer, value_and_gradient


def epoch(balancer, *batches, present=None):
    for losses in batches:
        balancer(np.array(losses), present)
    balancer.on_epoch_end()
    return np.array(balancer.task_weights)


def test_contract():
    check_balancer(DWA)


def test_weights_are_one_in_the_first_two_epochs():
    balancer = DWA()
    value, gradient = value_and_gradient(balancer, [4.0, 1.0])
    assert value == 5.0
    np.testing.assert_array_equal(gradient, [1.0, 1.0])
    balancer.on_epoch_end()
    np.testing.assert_allclose(balancer.task_weights, [1.0, 1.0], rtol=1e-6)


def test_weights_by_hand_from_epoch_means():
    balancer = DWA(temperature=1.0)
    epoch(balancer, [1.0, 3.0], [3.0, 5.0])  # means 2 and 4
    weights = epoch(balancer, [1.0, 3.0], [1.0, 1.0])  # means 1 and 2: ratios 1/2, 1/2
    np.testing.assert_allclose(weights, [1.0, 1.0], rtol=1e-6)
    weights = epoch(balancer, [2.0, 1.0])  # ratios 2 and 1/2
    expected = 2 * np.exp([2.0, 0.5]) / np.exp([2.0, 0.5]).sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    value, gradient = value_and_gradient(balancer, [2.0, 1.0])
    np.testing.assert_allclose(value, expected @ [2.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6)


def test_a_high_temperature_evens_the_weights():
    balancer = DWA(temperature=1e6)
    epoch(balancer, [1.0, 1.0])
    np.testing.assert_allclose(epoch(balancer, [9.0, 0.1]), [1.0, 1.0], atol=1e-4)


def test_epoch_mean_is_over_batches_with_the_task():
    balancer = DWA(temperature=1.0)
    epoch(balancer, [1.0, 1.0])
    balancer(np.array([1.0, 3.0]))
    weights = epoch(balancer, [3.0, 0.0], present=np.array([True, False]))  # means 2 and 3, not 1.5
    np.testing.assert_allclose(weights, 2 * np.exp([2.0, 3.0]) / np.exp([2.0, 3.0]).sum(), rtol=1e-6)


def test_a_task_absent_for_an_epoch_keeps_its_last_mean():
    balancer = DWA(temperature=1.0)
    epoch(balancer, [1.0, 2.0])
    weights = epoch(balancer, [1.0, 0.0], present=np.array([True, False]))
    np.testing.assert_allclose(weights, [1.0, 1.0], rtol=1e-6)
    weights = epoch(balancer, [1.0, 1.0])  # ratios 1 and 1/2
    np.testing.assert_allclose(weights, 2 * np.exp([1.0, 0.5]) / np.exp([1.0, 0.5]).sum(), rtol=1e-6)


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match=r"must be positive and finite. Received: temperature=0"):
        DWA(temperature=0)
