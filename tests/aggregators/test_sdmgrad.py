import numpy as np
import pytest

from mtl_zoo.aggregators import MGDA, SDMGrad
from tests.aggregators.test_modo import project
from tests.harness import assert_close, check_aggregator, check_resumes


def reference(parts, learning_rate=10.0, momentum=0.5, steps=20, regularization=0.3):
    """Return the directions and the convex weights of all calls."""
    num_tasks = parts.shape[2]
    weights, answers = np.ones(num_tasks) / num_tasks, []
    for first, second, third in parts:
        inner = first @ second.T
        inner = inner / np.mean(np.sqrt(np.maximum(np.diag(inner), 0))) ** 2
        velocity = np.zeros(num_tasks)
        for _ in range(steps):
            velocity = momentum * velocity + inner @ weights + regularization * inner.mean(axis=1)
            weights = project(weights - learning_rate * velocity)
        direction = (weights @ third + regularization * third.mean(axis=0)) / (1 + regularization)
        answers.append((direction, weights))
    return answers


def sequence(num_steps=5, num_tasks=4, noise=0.5):
    rng = np.random.default_rng(0)
    jacobians = rng.normal(size=(num_steps, 1, num_tasks, 9))
    return jacobians + noise * rng.normal(size=(num_steps, 3, num_tasks, 9))


def test_contract():
    check_aggregator(SDMGrad)


@pytest.mark.parametrize(
    "arguments", [{}, {"learning_rate": 0.2, "momentum": 0.9, "steps": 7, "regularization": 1.5}]
)
def test_equals_the_definition(arguments):
    aggregator, parts = SDMGrad(**arguments), sequence()
    for step, (direction, weights) in enumerate(reference(parts, **arguments)):
        assert_close(aggregator(parts[step]), direction, f"step {step}", relative=1e-3)
        assert_close(aggregator.convex_weights, weights, f"weights of step {step}", relative=1e-3)


def test_blocks_are_parts_of_one_jacobian():
    parts = sequence()[0]
    first, second = SDMGrad()([parts[..., :4], parts[..., 4:]])
    assert_close(np.concatenate([first, second]), SDMGrad()(parts), "direction")


def test_one_step_by_hand():
    # inner products diag(4, 1), mean length 1.5, slope (0.5 + 0.5) (16, 4) / 9; (0.5, 0.5) - 0.09 slope
    # is (0.34, 0.46), projected (0.44, 0.56), and the mean of that and (0.5, 0.5) is (0.47, 0.53)
    aggregator = SDMGrad(learning_rate=0.09, steps=1, regularization=1.0)
    parts = np.stack([np.diag([4.0, 1.0]), np.eye(2), np.eye(2)])
    np.testing.assert_allclose(aggregator(parts), [0.47, 0.53], rtol=1e-6)
    np.testing.assert_allclose(aggregator.task_weights, [0.47, 0.53], rtol=1e-6)
    np.testing.assert_allclose(aggregator.convex_weights, [0.44, 0.56], rtol=1e-6)


def test_equal_parts_without_regularization_lead_to_mgda():
    jacobian = np.random.default_rng(0).normal(size=(3, 20))
    aggregator = SDMGrad(learning_rate=0.3, regularization=0.0, steps=200)
    assert_close(aggregator(np.stack(3 * [jacobian])), MGDA()(jacobian), "direction")


def test_strong_regularization_leads_to_the_mean():
    parts = sequence()[0]
    assert_close(SDMGrad(regularization=1e6)(parts), parts[2].mean(axis=0), "direction")


def test_finite_when_the_parts_disagree():
    parts = np.stack([np.eye(2), -np.eye(2), np.eye(2)])
    direction = np.array(SDMGrad()(parts))
    assert np.isfinite(direction).all()
    assert direction.sum() == pytest.approx(1.0)


def test_absent_task_keeps_its_weight():
    aggregator, parts = SDMGrad(learning_rate=0.1), sequence()
    aggregator(parts[0])
    before, present = np.array(aggregator.convex_weights), np.array([True, False, True, True])
    direction = aggregator(parts[1] * present[:, None], None, present)
    after = np.array(aggregator.convex_weights)
    assert after[1] == before[1]
    assert after.sum() == pytest.approx(1.0)
    shares = np.where(present, after, 0.0) / (1.0 - after[1])
    expected = (shares + 0.3 * present / 3) / 1.3 @ parts[1][2]
    assert_close(direction, expected, "direction")


def test_resumes(tmp_path):
    check_resumes(SDMGrad, [(parts[0],) for parts in sequence()], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, "`momentum` must be at least 0 and below 1. Received: momentum=1.0"),
        ({"steps": 0}, "`steps` must be an integer of at least 1. Received: steps=0"),
        ({"regularization": -1.0}, "must not be negative. Received: .*regularization=-1.0"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        SDMGrad(**arguments)
