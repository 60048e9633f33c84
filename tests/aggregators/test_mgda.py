import itertools

import numpy as np
import pytest

from mtl_zoo.aggregators import MGDA
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(MGDA, non_conflicting=True)


@pytest.mark.parametrize(
    ("jacobian", "direction"),
    [
        ([[2.0, 0.0], [0.0, 1.0]], [0.4, 0.8]),  # the foot of the perpendicular on the segment
        ([[1.0, 0.0], [3.0, 1.0]], [1.0, 0.0]),  # the first gradient itself is nearest to the origin
        ([[1.0, 0.0], [-3.0, 0.0]], [0.0, 0.0]),  # stationary: 3/4 and 1/4
        ([[1.0, 1.0], [1.0, -1.0], [4.0, 0.0]], [1.0, 0.0]),  # the third is behind the other two
        ([[5.0, 5.0], [0.0, 0.0]], [0.0, 0.0]),  # a zero gradient
    ],
)
def test_direction_by_hand(jacobian, direction):
    np.testing.assert_allclose(MGDA()(np.array(jacobian)), direction, atol=1e-6)


def test_direction_has_equal_products_with_the_gradients_in_use():
    jacobian = np.random.default_rng(1).normal(size=(5, 40))  # nearly orthogonal: all are in use
    aggregator = MGDA()
    direction = np.asarray(aggregator(jacobian), "float64")
    assert (np.asarray(aggregator.task_weights) > 0.01).all()
    assert_close(jacobian @ direction, np.full(5, direction @ direction), "products")


def test_scaling_all_gradients_scales_the_direction():
    jacobian = np.random.default_rng(2).normal(size=(4, 10))
    assert_close(MGDA()(1e3 * jacobian), 1e3 * np.asarray(MGDA()(jacobian)), "scaled by 1000")


def test_task_weights_are_a_convex_combination():
    aggregator = MGDA()
    jacobian = np.random.default_rng(3).normal(size=(6, 10)).astype("float32")
    direction = aggregator(jacobian)
    weights = np.asarray(aggregator.task_weights)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)
    assert_close(weights @ jacobian, direction, "weights times rows")


def test_overflow_shows_in_the_direction():
    direction = MGDA()(np.array([[np.inf, 1.0], [1.0, 1.0]]))
    assert not np.isfinite(direction).all()


def test_preferences_scale_the_losses():
    jacobian, preferences = np.random.default_rng(4).normal(size=(3, 10)), np.array([1.0, 2.0, 4.0])
    direction = MGDA(preferences, dtype="float64")(jacobian)
    scaled = MGDA(dtype="float64")(preferences[:, None] * jacobian)
    assert_close(direction, scaled, "direction", 1e-8)
    products = preferences * (jacobian @ np.asarray(direction))
    assert_close(products, np.full(3, products[0]), "scaled losses fall alike", 1e-8)


def test_preferences_must_be_one_per_task():
    with pytest.raises(ValueError, match="one number per task"):
        MGDA([1.0, 2.0]).build((3, None))


def shortest_above(gramian, least):
    """Return the weights of sum 1, not below `least`, of the shortest combination, in float64.

    Every set of tasks may be that of the weights above: of those that suit, the shortest counts.
    """
    size, best = len(least), (np.inf, None)
    for free in itertools.product([False, True], repeat=size):
        free, weights = np.array(free), np.array(least, "float64")
        if free.any():
            number = free.sum()
            system = np.block([[gramian[free][:, free], np.ones((number, 1))], [np.ones(number), 0.0]])
            goal = np.append(-gramian[free][:, ~free] @ weights[~free], 1.0 - weights[~free].sum())
            weights[free] = np.linalg.lstsq(system, goal, rcond=None)[0][:-1]
        if abs(weights.sum() - 1.0) < 1e-9 and (weights >= np.array(least) - 1e-12).all():
            best = min(best, (weights @ gramian @ weights, tuple(weights)))
    return np.array(best[1])


@pytest.mark.parametrize("num_tasks", [2, 4])
@pytest.mark.parametrize("total", [0.0, 0.4, 1.0])
def test_min_weights_are_those_of_a_solver(num_tasks, total):
    rng = np.random.default_rng(num_tasks)
    jacobian = 10 ** rng.uniform(-1, 1, size=(num_tasks, 1)) * rng.normal(size=(num_tasks, 6))
    least = total * rng.dirichlet(np.ones(num_tasks))
    expected = shortest_above(jacobian @ jacobian.T, least)
    aggregator = MGDA(min_weights=least * (1 - 1e-12), dtype="float64")
    assert_close(aggregator(jacobian), expected @ jacobian, "direction", 1e-6)
    assert_close(aggregator.task_weights, expected, "weights", 1e-6)


def test_min_weights_of_present_tasks_alone():
    jacobian, least = np.random.default_rng(5).normal(size=(3, 10)), [0.2, 0.5, 0.3]
    present = np.array([True, False, True])
    direction = MGDA(min_weights=least)(jacobian * present[:, None], None, present)
    assert_close(direction, MGDA(min_weights=[0.2, 0.3])(jacobian[present]), "direction")


def test_min_weights_may_be_one_number():
    jacobian = np.random.default_rng(6).normal(size=(3, 10))
    one = MGDA(min_weights=0.3)
    assert_close(one(jacobian), MGDA(min_weights=[0.3] * 3)(jacobian), "direction", 1e-7)
    assert float(np.min(one.task_weights)) > 0.3 - 1e-6


def test_min_weights_with_preferences_are_of_the_scaled_gradients():
    jacobian, preferences = np.random.default_rng(7).normal(size=(3, 10)), np.array([1.0, 2.0, 4.0])
    direction = MGDA(preferences, 0.2, dtype="float64")(jacobian)
    scaled = MGDA(min_weights=0.2, dtype="float64")(preferences[:, None] * jacobian)
    assert_close(direction, scaled, "direction", 1e-8)


@pytest.mark.parametrize("least", [0.5, [0.5, 0.4, 0.3]])
def test_min_weights_must_leave_a_combination(least):
    with pytest.raises(ValueError, match=r"`min_weights` must have a sum of at most 1 .* Received: min_we"):
        MGDA(min_weights=least).build((3, None))
