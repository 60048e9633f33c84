import numpy as np
import pytest

from mtl_zoo.balancers import GO4Align
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(GO4Align)


def test_golden_weights():
    value, gradient = value_and_gradient(GO4Align(step_size=0.0), [1.0, 2.0, 6.0])
    np.testing.assert_allclose(gradient, [3.0, 1.0, 1.0], rtol=1e-6)  # 3 | 3/2 and 1/2
    np.testing.assert_allclose(value, 11.0, rtol=1e-6)
    gradient = value_and_gradient(GO4Align(1, step_size=0.0), [1.0, 2.0, 6.0])[1]
    np.testing.assert_allclose(gradient, 5 / 3, rtol=1e-6)


def two_means(values):
    """Return the means of the best two groups: those that one threshold parts."""
    found = []
    for threshold in np.sort(values)[1:]:
        above = values >= threshold
        means = np.where(above, values[above].mean(), values[~above].mean())
        found.append((((values - means) ** 2).sum(), means))
    return min(found, key=lambda pair: pair[0])[1]


def test_by_numpy_over_steps():
    balancer, history = GO4Align(step_size=0.05), np.ones(4) / 4
    for losses in np.random.default_rng(0).gamma(2.0, size=(6, 4)) * [0.1, 1.0, 1.0, 5.0]:
        history = history * np.exp(-0.05 * losses)
        history = history / history.sum()
        expected = two_means(losses.sum() / losses * history)
        value, gradient = value_and_gradient(balancer, losses)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4)
        np.testing.assert_allclose(value, expected @ losses, rtol=1e-4)


def test_a_group_each_weighs_like_the_inverses():
    value, gradient = value_and_gradient(GO4Align(5, step_size=0.0), [1e-3, 1.0, 50.0])
    np.testing.assert_allclose(gradient, 51.001 / 3 / np.array([1e-3, 1.0, 50.0]), rtol=1e-5)
    np.testing.assert_allclose(value, 51.001, rtol=1e-5)


def test_the_present_tasks_share_out_what_the_absent_leave():
    balancer = GO4Align(3, step_size=1.0)
    present = np.array([True, False, True])
    balancer(np.array([1.0, 7.0, 3.0]), present)
    shares = np.exp(np.array(balancer.history, "float64")) / 3
    np.testing.assert_allclose(shares[1], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(shares[0] / shares[2], np.exp(2.0), rtol=1e-5)


def test_a_long_history_does_not_underflow():
    balancer = GO4Align(2, step_size=1.0)
    for _ in range(3):
        gradient = value_and_gradient(balancer, [1e3, 1e-3])[1]
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.ptp(balancer.history), 3e3, rtol=1e-4)


def test_arguments():
    with pytest.raises(ValueError, match=r"must be an integer of at least 1. Received: num_groups=0"):
        GO4Align(0)
    with pytest.raises(ValueError, match=r"must not be negative. Received: step_size=-1"):
        GO4Align(step_size=-1)
