import keras
import numpy as np
import pytest

from mtl_zoo.balancers import COSMOS
from tests.harness import check_balancer, value_and_gradient


def draw(balancer, num_tasks=3, present=None):
    """Return the drawn preferences: the gradient without the cosine."""
    return np.array(value_and_gradient(balancer, np.ones(num_tasks, "float32"), present)[1])


def test_contract():
    check_balancer(lambda: COSMOS(seed=0), deterministic=False, may_raise=True)
    check_balancer(lambda: COSMOS([1, 2, 3]), may_raise=True, drops_absent=False)
    check_balancer(lambda: COSMOS([1, 0, 3], strength=0.0), drops_absent=False)


def test_value_and_gradient_by_hand():
    # r L = 24, cosine 24 / 25; its gradient r / 25 - 24 / 25 * L / 25 = (1, -3/4) * 7 * 4 / 625
    value, gradient = value_and_gradient(COSMOS([3, 4], strength=25.0), [4.0, 3.0])
    np.testing.assert_allclose(value, 0.0, atol=1e-5)
    np.testing.assert_allclose(gradient, [3.0 + 0.84, 4.0 - 1.12], rtol=1e-5)


def test_value_and_gradient_against_numpy():
    losses, preferences = np.random.default_rng(0).gamma(1.0, size=(2, 5))
    lengths = np.linalg.norm(losses) * np.linalg.norm(preferences)
    cosine = losses @ preferences / lengths
    found = value_and_gradient(COSMOS(preferences, strength=3.0), losses)
    np.testing.assert_allclose(found[0], losses @ preferences - 3.0 * cosine, rtol=1e-5)
    slope = preferences / lengths - cosine * losses / (losses @ losses)
    np.testing.assert_allclose(found[1], preferences - 3.0 * slope, rtol=1e-5)


def test_on_the_ray_the_cosine_is_one():
    value, gradient = value_and_gradient(COSMOS([1, 2, 3]), [0.5, 1.0, 1.5])
    np.testing.assert_allclose(value, 7.0 - 2.0, rtol=1e-6)
    np.testing.assert_allclose(gradient, [1.0, 2.0, 3.0], rtol=1e-5)


def test_is_that_of_the_present_tasks():
    one = value_and_gradient(COSMOS([1, 5, 3]), [2.0, 9.0, 0.5], np.array([True, False, True]))
    other = value_and_gradient(COSMOS([1, 3]), [2.0, 0.5])
    np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    np.testing.assert_allclose(one[1], np.insert(other[1], 1, 0.0), rtol=1e-6)


def test_drawn_preferences_sum_to_one_over_the_present_tasks():
    balancer = COSMOS(strength=0.0)
    np.testing.assert_allclose(draw(balancer).sum(), 1.0, rtol=1e-6)
    preferences = draw(balancer, present=np.array([True, False, True]))
    assert preferences[1] == 0
    np.testing.assert_allclose(preferences.sum(), 1.0, rtol=1e-6)


def test_preferences_are_drawn_anew_and_reproducible():
    one, other = ([draw(balancer) for _ in range(3)] for balancer in (COSMOS(seed=3), COSMOS(seed=3)))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one[0] - one[1]).max() > 1e-3


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 1.2, 20.0])
def test_drawn_preferences_have_the_dirichlet_distribution(alpha):
    """Of many tasks in one draw: quantiles are those of NumPy's sampler, so are mean and variance."""
    num_tasks = 20_000
    found = num_tasks * draw(COSMOS(strength=0.0, alpha=alpha, seed=0), num_tasks)
    expected = np.random.default_rng(0).gamma(alpha, 1 / alpha, 10 * num_tasks)
    np.testing.assert_allclose(found.var(), 1 / alpha, rtol=0.1)
    levels = np.linspace(0.05, 0.95, 19)
    ranks = np.searchsorted(np.sort(expected), np.quantile(found, levels)) / expected.size
    np.testing.assert_allclose(ranks, levels, atol=0.015)


def test_a_small_alpha_gives_finite_preferences():
    preferences = draw(COSMOS(strength=0.0, alpha=1e-4, seed=0))
    np.testing.assert_allclose(preferences.sum(), 1.0, rtol=1e-6)


def test_fixed_preferences_draw_nothing():
    balancer = COSMOS([1, 2])
    before = keras.tree.map_structure(np.array, balancer.variables)
    balancer(np.ones(2))
    np.testing.assert_array_equal(before, keras.tree.map_structure(np.array, balancer.variables))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": -1}, r"`strength` must not be negative. Received: strength=-1"),
        ({"alpha": 0}, r"`alpha` must be positive and finite. Received: alpha=0"),
        ({"preferences": [1, -1]}, r"finite numbers of at least 0. Received: preferences=\[1, -1\]"),
        ({"preferences": [0, 0]}, r"must have a positive entry. Received: preferences=\[0, 0\]"),
    ],
)
def test_arguments_must_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        COSMOS(**arguments)


def test_every_task_must_have_a_preference():
    with pytest.raises(ValueError, match=r"must have one number per task, 3. Received: \[1.0, 2.0\]"):
        COSMOS([1, 2])(np.ones(3))
