import numpy as np
import pytest

from mtl_zoo.aggregators import MoDo
from tests.harness import assert_close, check_aggregator, check_resumes


def project(vector):
    """Project on the simplex by bisection of the threshold."""
    low, high = vector.min() - 1, vector.max()
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(vector - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(vector - low, 0)


def reference(parts, gamma, rho):
    """Return the directions and weights of all steps."""
    weights, answers = np.ones(parts.shape[2]) / parts.shape[2], []
    for first, second, third in parts:
        weights = project(weights - gamma * (first @ (second.T @ weights) + rho * weights))
        answers.append((weights @ third, weights))
    return answers


def sequence(num_steps=6, num_tasks=4):
    return np.random.default_rng(0).normal(size=(num_steps, 3, num_tasks, 9))


def test_contract():
    check_aggregator(MoDo)


@pytest.mark.parametrize(("gamma", "rho"), [(1e-3, 0.1), (0.1, 2.0)])
def test_equals_the_definition(gamma, rho):
    aggregator, parts = MoDo(gamma, rho), sequence()
    for step, (direction, weights) in enumerate(reference(parts, gamma, rho)):
        assert_close(aggregator(parts[step]), direction, f"step {step}")
        assert_close(aggregator.task_weights, weights, f"weights of step {step}")


def test_blocks_are_parts_of_one_jacobian():
    parts = sequence()[0]
    first, second = MoDo(gamma=0.1)([parts[..., :4], parts[..., 4:]])
    assert_close(np.concatenate([first, second]), MoDo(gamma=0.1)(parts), "direction")


def test_weights_come_from_the_first_two_parts_and_the_direction_from_the_third():
    parts = np.zeros((3, 2, 2))
    parts[0], parts[1], parts[2] = np.diag([1.0, 0.0]), np.diag([2.0, 0.0]), np.eye(2)
    # (0.5, 0.5) - 0.1 (1 * 2 * 0.5, 0) = (0.4, 0.5), projected: (0.45, 0.55)
    np.testing.assert_allclose(MoDo(gamma=0.1, rho=0.0)(parts), [0.45, 0.55], rtol=1e-6)


def test_equal_parts_lead_to_the_shortest_vector():
    aggregator, parts = MoDo(gamma=0.1, rho=0.0), np.stack(3 * [[[2.0, 0.0], [0.0, 1.0]]])
    for _ in range(60):
        direction = aggregator(parts)
    np.testing.assert_allclose(direction, [0.4, 0.8], rtol=1e-4)


def test_absent_task_keeps_its_weight():
    aggregator, parts = MoDo(gamma=0.1), sequence()
    aggregator(parts[0])
    before, present = np.array(aggregator.convex_weights), np.array([True, False, True, True])
    direction = aggregator(parts[1] * present[:, None], None, present)
    after = np.array(aggregator.convex_weights)
    assert after[1] == before[1]
    assert after.sum() == pytest.approx(1.0)
    shares = np.where(present, after, 0.0) / (1.0 - after[1])
    assert_close(direction, shares @ parts[1][2], "direction")
    assert_close(aggregator.task_weights, shares, "what the direction was made with")


def test_resumes(tmp_path):
    check_resumes(lambda: MoDo(gamma=0.1), [(parts[0],) for parts in sequence()], tmp_path)


@pytest.mark.parametrize("arguments", [{"gamma": -1.0}, {"rho": -1.0}])
def test_arguments_must_not_be_negative(arguments):
    with pytest.raises(ValueError, match=r"must not be negative. Received: .*=-1.0"):
        MoDo(**arguments)
