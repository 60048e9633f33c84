import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import nnls

import mtl_zoo as mz
from mtl_zoo.aggregators import CRMOGM, PCD
from tests.harness import assert_close, check_aggregator, check_resumes

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]


def nearest(jacobian, squares=None, primary=0, tau=0.02, epsilon=1e-8):
    """Return the direction, and whether there is one, by Lawson and Hanson's least distance programming."""
    lengths = (jacobian**2).sum(axis=1)
    unit = jacobian / np.sqrt((lengths if squares is None else squares) + epsilon)[:, None]
    others = np.delete(unit, primary, axis=0)
    missing = tau * (others**2).sum(axis=1) - others @ unit[primary]
    system, goal = np.vstack([others.T, missing]), np.eye(len(unit[0]) + 1)[-1]
    residual = system @ nnls(system, goal, maxiter=1000)[0] - goal
    if np.abs(residual).max() < 1e-10:
        return jacobian[primary], False
    direction = unit[primary] - residual[:-1] / residual[-1]
    return direction * np.sqrt(lengths[primary]) / np.linalg.norm(direction), True


def first_directions(jacobians, jit_compile, **arguments):
    """Return the directions of a fresh method for every Jacobian, in one compiled loop."""
    aggregator = PCD(**arguments)
    aggregator.build(jacobians.shape[1:])

    def first(jacobian):
        for variable in aggregator.variables:
            variable.assign(tf.zeros_like(variable))
        return aggregator(jacobian)

    run = tf.function(lambda x: tf.map_fn(first, x, parallel_iterations=1), jit_compile=jit_compile)
    return run(tf.constant(jacobians, aggregator.compute_dtype)).numpy()


def test_contract():
    check_aggregator(PCD, permutation_invariant=False)


@pytest.mark.parametrize(
    ("dtype", "jit_compile", "tolerance"), [("float32", True, 1e-4), ("float64", False, 1e-8)]
)
def test_first_directions_are_those_of_a_solver(dtype, jit_compile, tolerance):
    jacobians = np.random.default_rng(0).normal(size=(1000, 4, 6)) * [[1.0], [1e-2], [1e2], [1.0]]
    jacobians[900:, 3] = -jacobians[900:, 2]  # nothing serves both
    found = first_directions(jacobians, jit_compile, dtype=dtype)
    for index, jacobian in enumerate(jacobians):
        expected, is_served = nearest(jacobian)
        assert is_served == (index < 900)
        assert_close(found[index], expected, f"Jacobian {index}", tolerance)


def test_first_directions_without_a_graph():
    for jacobian in np.random.default_rng(1).normal(size=(2, 4, 6)):
        assert_close(PCD(primary=2)(jacobian), nearest(jacobian, primary=2)[0], "direction")


@pytest.mark.parametrize(
    ("jacobian", "direction"),
    [
        ([[3.0, 0.0], [0.0, 0.1]], [3 / 1.25**0.5, 1.5 / 1.25**0.5]),  # (1, tau)
        ([[3.0, 0.0], [2.0, 1.0]], [3.0, 0.0]),  # the other one gains enough
        ([[3.0, 0.0], [-8.0, 0.0]], [-3.0, 0.0]),  # the primary task has no constraint
        ([[3.0, 0.0], [0.0, 1.0], [0.0, -2.0]], [3.0, 0.0]),  # nothing serves both
        ([[3.0, 0.0], [0.0, 0.0]], [3.0, 0.0]),
        ([[0.0, 0.0], [0.0, 1.0]], [0.0, 0.0]),  # as long as the primary task's gradient
    ],
)
def test_by_hand(jacobian, direction):
    for dtype in ("float32", "float64"):
        found = PCD(tau=0.5, epsilon=0.0, dtype=dtype)(np.array(jacobian))
        np.testing.assert_allclose(found, direction, rtol=1e-5, atol=1e-6)


def sequence(num_steps=5):
    return np.random.default_rng(2).normal(size=(num_steps, 3, 7)) * [[0.1], [1.0], [10.0]]


def test_averages_of_squared_lengths():
    aggregator, beta, average = PCD(beta=0.9), 0.9, 0.0
    for step, jacobian in enumerate(sequence(), start=1):
        average = beta * average + (1 - beta) * (jacobian**2).sum(axis=1)
        direction = aggregator(jacobian)
        assert_close(direction, nearest(jacobian, average / (1 - beta**step))[0], f"step {step}")


def test_absent_task_is_no_constraint_and_keeps_its_average():
    aggregator, jacobians, present = PCD(), sequence(), np.array([True, True, False])
    aggregator(jacobians[0])
    before = np.array(aggregator.squares)
    direction = aggregator(jacobians[1] * present[:, None], None, present)
    assert aggregator.squares[2] == before[2]
    np.testing.assert_array_equal(aggregator.steps, [2.0, 2.0, 1.0])
    assert_close(direction, nearest(jacobians[1][:2], np.array(aggregator.squares)[:2])[0], "direction")


def test_without_the_primary_task_the_others_get_their_margins():
    aggregator = PCD(tau=0.5, beta=0.0)
    aggregator(np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    jacobian = np.array([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, -3.0, 4.0]])
    direction = np.array(aggregator(jacobian, None, np.array([False, True, True])))
    # unit gradients (0, 1, 0) and (0, -0.6, 0.8); (0, 1/2, 1) has the product 1/2 with both
    np.testing.assert_allclose(direction, 2.0 * np.array([0.0, 0.5, 1.0]), rtol=1e-5)


def test_resumes(tmp_path):
    check_resumes(PCD, [(jacobian,) for jacobian in sequence()], tmp_path)


def test_primary_by_name():
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(2))
    trainer = mz.Trainer(model, TASKS, aggregator=PCD("b", 0.1, 0.5, 1e-3))
    config = keras.saving.serialize_keras_object(trainer.aggregator)
    restored = keras.saving.deserialize_keras_object(config)
    assert (restored.primary, restored.tau, restored.beta, restored.epsilon) == (1, 0.1, 0.5, 1e-3)
    inner = PCD(primary="b")
    mz.Trainer(model, TASKS, aggregator=CRMOGM(inner))
    assert inner.primary == 1
    with pytest.raises(ValueError, match=r"must be one of the tasks \['a', 'b'\]. Received: primary='c'"):
        mz.Trainer(model, TASKS, aggregator=PCD(primary="c"))


@pytest.mark.parametrize(
    ("primary", "message"),
    [
        ("b", r"by name must be given to a `Trainer`. Received: primary='b'"),
        (2, r"must be below the number of tasks, 2. Received: 2"),
    ],
)
def test_primary_must_be_known_when_built(primary, message):
    with pytest.raises(ValueError, match=message):
        PCD(primary=primary).build((2, None))


def test_primary_must_be_what_a_task_may_be_called():
    with pytest.raises(ValueError, match=r"the index or the name of a task. Received: primary='1.5x'"):
        PCD(primary="1.5x")
