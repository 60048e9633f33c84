import numpy as np
import pytest

from mtl_zoo.aggregators import ExcessMTL
from tests.harness import assert_close, check_aggregator, check_resumes


def reference(jacobians, learning_rate):
    """Return the weights of every step."""
    total, weights, used = np.zeros_like(jacobians[0]), np.ones(len(jacobians[0])) / len(jacobians[0]), []
    for step, jacobian in enumerate(jacobians):
        total = total + jacobian**2
        excess = (jacobian**2 / np.sqrt(total + 1e-7)).sum(axis=1)
        if step == 0:
            first = excess
        else:
            weights = weights * np.exp(learning_rate * excess / first)
            weights = weights / weights.sum()
        used.append(weights)
    return used


def sequence(num_steps=5, num_tasks=3):
    return np.random.default_rng(0).normal(size=(num_steps, num_tasks, 7)) * [[0.1], [1.0], [10.0]]


def test_contract():
    check_aggregator(ExcessMTL)


@pytest.mark.parametrize("learning_rate", [1e-2, 1.0])
def test_equals_the_definition(learning_rate):
    aggregator, jacobians = ExcessMTL(learning_rate), sequence()
    for step, weights in enumerate(reference(jacobians, learning_rate)):
        assert_close(aggregator(jacobians[step]), weights @ jacobians[step], f"step {step}")
        assert_close(aggregator.task_weights, weights, f"weights of step {step}")


def test_first_step_is_the_mean():
    jacobian = sequence()[0]
    assert_close(ExcessMTL(learning_rate=5.0)(jacobian), jacobian.mean(axis=0), "direction")
    jacobian[1] = 0.0
    assert_close(ExcessMTL(learning_rate=5.0)(jacobian), jacobian.mean(axis=0), "with a zero gradient")


def test_second_weights_by_hand():
    # constant (1, 1) has excess 2, then 2 / sqrt(2); (1, 0) has 1, and then 4 / sqrt(5) for (2, 0)
    aggregator = ExcessMTL(learning_rate=1.0)
    aggregator(np.array([[1.0, 1.0], [1.0, 0.0]]))
    aggregator(np.array([[1.0, 1.0], [2.0, 0.0]]))
    powers = np.exp([1 / np.sqrt(2), 4 / np.sqrt(5)])
    np.testing.assert_allclose(aggregator.task_weights, powers / powers.sum(), rtol=1e-5)


def test_finite_when_gradients_explode():
    aggregator = ExcessMTL(learning_rate=1.0)
    for scale in (1e-4, 1e4, 1e4):
        direction = aggregator(scale * np.array([[1.0, 0.0], [0.0, 0.5]]))
        assert np.isfinite(direction).all()
    assert float(np.sum(aggregator.convex_weights)) == pytest.approx(1.0)


def test_absent_task_keeps_its_state():
    aggregator, jacobians, present = ExcessMTL(), sequence(), np.array([True, True, False])
    aggregator(jacobians[0] * present[:, None], None, present)
    assert float(aggregator.first_excess[2]) == 0.0
    assert float(aggregator.convex_weights[2]) == pytest.approx(1 / 3)
    direction = aggregator(jacobians[1] * present[:, None], None, present)
    assert float(aggregator.convex_weights[2]) == pytest.approx(1 / 3)
    shares = np.array(aggregator.convex_weights)[:2] * 3 / 2
    assert_close(direction, shares @ jacobians[1][:2], "direction")
    np.testing.assert_array_equal(np.array(aggregator.squares[0])[2], np.zeros(7))
    assert float(aggregator(jacobians[2])[0]) != 0
    assert float(aggregator.first_excess[2]) == pytest.approx(np.abs(jacobians[2][2]).sum(), rel=1e-3)


def test_resumes(tmp_path):
    check_resumes(lambda: ExcessMTL(0.5), [(jacobian,) for jacobian in sequence()], tmp_path)


def test_learning_rate_must_not_be_negative():
    with pytest.raises(ValueError, match=r"must not be negative. Received: learning_rate=-1"):
        ExcessMTL(learning_rate=-1)
