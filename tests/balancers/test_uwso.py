import numpy as np
import pytest

from mtl_zoo.balancers import UWSO
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(UWSO)


def test_golden_weights():
    value, gradient = value_and_gradient(UWSO(), [2.0, 0.5, 1.0])
    expected = np.array([0.14024, 0.62853, 0.23122])
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_allclose(value, expected @ [2.0, 0.5, 1.0], atol=2e-5)


@pytest.mark.parametrize("temperature", [0.5, 20.0])
def test_weights_by_numpy(temperature):
    losses = np.random.default_rng(0).gamma(2.0, size=5) + 0.1
    found = np.array(value_and_gradient(UWSO(temperature), losses)[1])
    exponentials = np.exp(1 / losses / temperature)
    np.testing.assert_allclose(found, exponentials / exponentials.sum(), rtol=1e-5)


def test_a_tiny_loss_takes_all_and_a_solved_one_nothing():
    np.testing.assert_array_equal(value_and_gradient(UWSO(), [1e-10, 1.0])[1], [1.0, 0.0])
    np.testing.assert_array_equal(value_and_gradient(UWSO(), [0.0, 1.0])[1], [0.0, 1.0])


def test_temperature_must_be_positive():
    with pytest.raises(ValueError, match=r"must be positive and finite. Received: temperature=0"):
        UWSO(temperature=0)


def test_a_temperature_near_zero_gives_all_to_the_smallest_loss():
    np.testing.assert_allclose(UWSO(temperature=1e-30)(np.array([1e-9, 1.0])), 1e-9)
