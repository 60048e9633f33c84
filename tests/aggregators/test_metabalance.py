import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.aggregators import MetaBalance
from tests.harness import assert_close, check_aggregator, check_resumes


def reference(sequences, relax=0.7, beta=0.9, primary=0):
    """Return the directions of one block in every step."""
    lengths, directions = np.zeros(len(sequences[0])), []
    for jacobian in sequences:
        lengths = beta * lengths + (1 - beta) * np.linalg.norm(jacobian, axis=1)
        rows = []
        for task, gradient in enumerate(jacobian):
            near = gradient * lengths[primary] / (lengths[task] + 1e-5)
            rows.append(gradient if task == primary else relax * near + (1 - relax) * gradient)
        directions.append(np.sum(rows, axis=0))
    return directions


def sequence(size, num_steps=5):
    return np.random.default_rng(size).normal(size=(num_steps, 3, size)) * [[0.1], [1.0], [10.0]]


def test_contract():
    check_aggregator(MetaBalance, permutation_invariant=False, per_block=True)


@pytest.mark.parametrize("arguments", [{}, {"relax": 1.0, "beta": 0.5, "primary": 2}])
def test_equals_the_definition_in_every_block(arguments):
    first, second = sequence(4), sequence(7)
    aggregator = MetaBalance(**arguments)
    expected = zip(reference(first, **arguments), reference(second, **arguments), strict=True)
    for step, directions in enumerate(expected):
        for found, direction in zip(aggregator([first[step], second[step]]), directions, strict=True):
            assert_close(found, direction, f"step {step}")


def test_by_hand():
    # lengths 4 and 2, of averages 0.4 and 0.2: 0.7 * 2 + 0.3 = 1.7 times the second; then lengths 1 and 8,
    # of averages 0.46 and 0.98
    aggregator = MetaBalance()
    np.testing.assert_allclose(aggregator(np.array([[4.0, 0.0], [0.0, 2.0]])), [4.0, 3.4], rtol=1e-4)
    factor = 0.7 * 0.46 / 0.98 + 0.3
    np.testing.assert_allclose(aggregator(np.diag([1.0, 8.0])), [1.0, 8.0 * factor], rtol=1e-4)


def test_what_the_primary_task_never_reached_is_summed():
    jacobian = np.array([[0.0, 0.0], [1.0, 2.0], [0.0, 30.0]])
    np.testing.assert_allclose(MetaBalance()(jacobian), [1.0, 32.0])


def test_absent_tasks_keep_their_averages():
    aggregator, jacobians, present = MetaBalance(), sequence(4), np.array([False, True, True])
    aggregator(jacobians[0])
    before = np.array(aggregator.lengths)
    direction = aggregator(jacobians[1] * present[:, None], None, present)
    after = np.array(aggregator.lengths)
    assert after[0] == before[0]
    filled = (1 - 0.9) / (1 - 0.9**2)  # of one step of the primary task to two of the others
    weights = 0.7 * after[0] / (after[1:] * filled + 1e-5) + 0.3
    assert_close(direction, weights[:, 0] @ jacobians[1][1:], "direction")


@pytest.mark.parametrize("late", [0, 1])
def test_a_task_that_comes_late_counts_as_the_others_do(late):
    aggregator, ones, present = MetaBalance(), np.ones((2, 1)), np.arange(2) != late
    for _ in range(30):
        aggregator(ones * present[:, None], None, present)
    np.testing.assert_allclose(aggregator(ones), [2.0], rtol=1e-4)


def test_resumes(tmp_path):
    check_resumes(MetaBalance, [(jacobian,) for jacobian in sequence(4)], tmp_path)


def test_one_average_per_shared_variable():
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(2, 4))
    trainer = mz.Trainer(model, tasks, aggregator=MetaBalance(0.5, 0.8, "b"))
    assert tuple(trainer.aggregator.lengths.shape) == (2, 4)
    restored = MetaBalance.from_config(trainer.aggregator.get_config())
    assert (restored.relax, restored.beta, restored.primary) == (0.5, 0.8, 1)
    with pytest.raises(ValueError, match="MetaBalance remembers something about every variable"):
        mz.Trainer(model, tasks, aggregator=MetaBalance(), space="representation")
