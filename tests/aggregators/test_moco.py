import numpy as np
import pytest

from mtl_zoo.aggregators import MoCo
from tests.harness import assert_close, check_aggregator, check_resumes


def reference(jacobians, losses, beta=0.5, beta_sigma=0.5, gamma=0.1, gamma_sigma=0.5, rho=0.0):
    """Return the directions and the weights of all steps."""
    num_tasks = len(losses[0])
    average, weights, answers = np.zeros_like(jacobians[0]), np.ones(num_tasks) / num_tasks, []
    for step, (jacobian, loss) in enumerate(zip(jacobians, losses, strict=True), start=1):
        norms = np.linalg.norm(jacobian, axis=1)
        average = average - beta / step**beta_sigma * (average - jacobian / norms[:, None] * loss[:, None])
        slope = (average @ average.T + rho * np.eye(num_tasks)) @ weights
        powers = np.exp(weights - gamma / step**gamma_sigma * slope)
        weights = powers / powers.sum()
        answers.append((weights @ average, weights))
    return answers


def sequence(num_steps=5, num_tasks=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num_steps, num_tasks, 7)), rng.uniform(0.1, 3, size=(num_steps, num_tasks))


def test_contract():
    check_aggregator(MoCo, needs_losses=True)


@pytest.mark.parametrize(
    "arguments", [{}, {"beta": 0.9, "beta_sigma": 0.1, "gamma": 2.0, "gamma_sigma": 1.0, "rho": 0.7}]
)
def test_equals_the_definition(arguments):
    jacobians, losses = sequence()
    aggregator = MoCo(**arguments)
    for step, (direction, weights) in enumerate(reference(jacobians, losses, **arguments)):
        assert_close(aggregator(jacobians[step], losses[step]), direction, f"step {step}")
        assert_close(aggregator.task_weights, weights, f"weights of step {step}")


def test_first_step_by_hand():
    # averages (0.3, 0.4) and (0, 1); weights are the softmax of 0.5 - 0.1 * (0.5 * 0.65, 0.5 * 1.4)
    weight = 1 / (1 + np.exp(-0.1 * (0.7 - 0.325)))
    expected = [0.3 * weight, 0.4 * weight + 1 - weight]
    direction = MoCo()(np.array([[3.0, 4.0], [0.0, 5.0]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(direction, expected, rtol=1e-5)


def test_the_length_of_gradients_does_not_matter():
    jacobian, losses = np.random.default_rng(1).normal(size=(3, 5)), np.array([1.0, 2.0, 0.5])
    scaled = jacobian * [[1e-4], [1.0], [1e4]]
    assert_close(MoCo()(scaled, losses), MoCo()(jacobian, losses), "scaled")


def test_absent_task_keeps_its_weight_and_its_average():
    jacobians, losses = sequence()
    aggregator, present = MoCo(), np.array([True, True, False])
    aggregator(jacobians[0], losses[0])
    average, weights = np.array(aggregator.averages[0]), np.array(aggregator.convex_weights)
    zeroed = jacobians[1] * present[:, None]
    direction = aggregator(zeroed, losses[1] * present, present)
    np.testing.assert_array_equal(np.array(aggregator.averages[0])[2], average[2])
    assert float(aggregator.convex_weights[2]) == pytest.approx(weights[2])
    assert float(np.sum(aggregator.convex_weights)) == pytest.approx(1.0)
    np.testing.assert_allclose(aggregator.steps, [2.0, 2.0, 1.0])
    shares = np.array(aggregator.convex_weights)[:2] / np.sum(np.array(aggregator.convex_weights)[:2])
    assert_close(direction, shares @ np.array(aggregator.averages[0])[:2], "direction")
    assert_close(aggregator.task_weights, [*shares, 0.0], "what the direction was made with")


def test_resumes(tmp_path):
    check_resumes(MoCo, list(zip(*sequence(), strict=True)), tmp_path)


def test_losses_are_needed():
    with pytest.raises(ValueError, match=r"so they must be given. Received: losses=None"):
        MoCo()(np.eye(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 0.0}, "`beta` must be above 0 and at most 1. Received: beta=0.0"),
        ({"gamma": -1.0}, "must not be negative. Received: gamma=-1.0"),
        ({"rho": -1.0}, "must not be negative. Received: rho=-1.0"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        MoCo(**arguments)
