import numpy as np
import pytest

from mtl_zoo.balancers import PBI
from tests.harness import check_balancer, value_and_gradient


def expected(losses, preferences, theta, reference=0.0):
    """Return value and gradient in float64."""
    unit = preferences / np.linalg.norm(preferences)
    excess = losses - reference
    off = excess - (excess @ unit) * unit
    distance = np.linalg.norm(off)
    return excess @ unit + theta * distance, unit + theta * off / distance


def test_contract():
    check_balancer(PBI, may_raise=True)
    check_balancer(
        lambda: PBI([1, 2, 3], theta=1.0, reference=[0.1, 0.2, 0.3]), may_raise=True, drops_absent=False
    )
    check_balancer(lambda: PBI(theta=0.0))


def test_value_and_gradient_by_hand():
    # u = (3, 4) / 5, d1 = 25 / 5, the rest (4, -3) of length 5; gradient u + 2 (4, -3) / 5
    value, gradient = value_and_gradient(PBI([3.0, 4.0], theta=2.0), [7.0, 1.0])
    np.testing.assert_allclose(value, 15.0, rtol=1e-6)
    np.testing.assert_allclose(gradient, [2.2, -0.4], rtol=1e-6)


def test_value_and_gradient_against_numpy():
    losses, preferences, reference = np.random.default_rng(0).gamma(1.0, size=(3, 5))
    found = value_and_gradient(PBI(preferences, 3.0, reference), losses)
    value, gradient = expected(losses, preferences, 3.0, reference)
    np.testing.assert_allclose(found[0], value, rtol=1e-5)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-4, atol=1e-5)


def test_only_the_ratios_of_preferences_matter():
    one, other = (value_and_gradient(PBI(p), [1.0, 3.0]) for p in ([1, 4], [10, 40]))
    np.testing.assert_allclose(other[0], one[0], rtol=1e-6)
    np.testing.assert_allclose(other[1], one[1], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 0.1, 0.7, 1.3, 1e4])
def test_on_the_ray_only_the_distance_along_it_counts(scale):
    preferences = np.array([0.3, 1.7, 0.9])
    value, gradient = value_and_gradient(PBI(preferences), scale * preferences)
    np.testing.assert_allclose(value, scale * np.linalg.norm(preferences), rtol=1e-5)
    np.testing.assert_allclose(gradient, preferences / np.linalg.norm(preferences), rtol=1e-5)


def test_is_that_of_the_present_tasks():
    value, gradient = value_and_gradient(
        PBI([1, 9, 2], reference=[0.1, 5, 0.2]), [1.0, 0.0, 0.5], np.array([True, False, True])
    )
    pair = expected(np.array([1.0, 0.5]), np.array([1.0, 2.0]), 5.0, np.array([0.1, 0.2]))
    np.testing.assert_allclose(value, pair[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, np.insert(pair[1], 1, 0.0), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": -1}, r"`theta` must not be negative. Received: theta=-1"),
        ({"preferences": [1, -1]}, r"finite numbers of at least 0. Received: preferences=\[1, -1\]"),
        ({"preferences": [0, 0]}, r"must have a positive entry. Received: preferences=\[0, 0\]"),
        ({"reference": [float("nan")]}, r"must hold finite numbers. Received: reference=\[nan\]"),
    ],
)
def test_arguments_must_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        PBI(**arguments)


@pytest.mark.parametrize("name", ["reference", "preferences"])
def test_every_task_must_have_a_number(name):
    with pytest.raises(
        ValueError, match=rf"`{name}` must have one number per task, 3. Received: \[1.0, 2.0\]"
    ):
        PBI(**{name: [1, 2]})(np.ones(3))
