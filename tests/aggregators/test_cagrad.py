import numpy as np
import pytest
import scipy.optimize

from mtl_zoo.aggregators import MGDA, CAGrad
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(CAGrad)


def solve(jacobian, c):
    return np.asarray(CAGrad(c, dtype="float64")(jacobian))


def reference(jacobian, c):
    """Return the direction from the inner problem, by sequential least squares."""
    mean, size = jacobian.mean(axis=0), len(jacobian)
    radius = c * np.linalg.norm(mean)

    def objective(w):
        return (w @ jacobian) @ mean + radius * np.linalg.norm(w @ jacobian)

    result = scipy.optimize.minimize(
        objective,
        np.full(size, 1 / size),
        bounds=[(0, 1)] * size,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    combination = result.x @ jacobian
    return mean + radius * combination / np.linalg.norm(combination)


@pytest.mark.parametrize("c", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("num_tasks", [2, 3, 6, 10])
def test_direction_solves_the_inner_problem(num_tasks, c):
    rng = np.random.default_rng(num_tasks)
    for common in (0.0, 0.5):
        jacobian = common * rng.normal(size=12) + rng.normal(size=(num_tasks, 12))
        assert_close(solve(jacobian, c), reference(jacobian, c), "direction", 1e-4)


@pytest.mark.parametrize("num_tasks", [2, 5, 20])
def test_no_other_direction_in_the_ball_is_better_for_the_worst_task(num_tasks):
    rng = np.random.default_rng(num_tasks)
    for size in (3, 2 * num_tasks):
        norms = 10 ** rng.uniform(-2, 2, size=(num_tasks, 1))
        jacobian = norms * rng.normal(size=(num_tasks, size))
        mean = jacobian.mean(axis=0)
        radius = 0.5 * np.linalg.norm(mean)
        direction = solve(jacobian, 0.5)
        assert np.linalg.norm(direction - mean) == pytest.approx(radius)
        others = direction + 0.1 ** rng.uniform(1, 8, size=(2000, 1)) * rng.normal(size=(2000, size)) * radius
        away = others - mean
        others = mean + away * np.minimum(radius / np.linalg.norm(away, axis=1, keepdims=True), 1.0)
        worst = (jacobian @ direction).min()
        assert (others @ jacobian.T).min(axis=1).max() <= worst + 1e-9 * np.abs(jacobian @ mean).max()


def test_zero_is_the_mean():
    jacobian = np.random.default_rng(0).normal(size=(5, 8))
    assert_close(solve(jacobian, 0.0), jacobian.mean(axis=0), "direction", 1e-12)


def test_a_large_c_is_the_direction_of_mgda():
    jacobian = np.random.default_rng(0).normal(size=(5, 20))
    direction, expected = solve(jacobian, 1e9), np.asarray(MGDA(dtype="float64")(jacobian))
    unit, expected = (vector / np.linalg.norm(vector) for vector in (direction, expected))
    assert_close(unit, expected, "direction", 1e-7)


def test_scaling_all_gradients_scales_the_direction():
    jacobian = np.random.default_rng(2).normal(size=(4, 10))
    assert_close(solve(1e6 * jacobian, 0.4), 1e6 * solve(jacobian, 0.4), "scaled", 1e-8)


def test_opposite_gradients_have_no_mean():
    assert_close(CAGrad()(np.array([[1.0, 2.0], [-1.0, -2.0]])), [0.0, 0.0], "direction")


@pytest.mark.parametrize("c", [-0.1, float("inf"), float("nan")])
def test_c_must_not_be_negative(c):
    with pytest.raises(ValueError, match=r"`c` must (not be negative|be a finite number)"):
        CAGrad(c)
