import dataclasses

import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import logs
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.problem import pose
from mtl_zoo.training.step import compute

TASKS = tuple(dataclasses.replace(mz.Task.regression(name), metrics=()) for name in "ab")


def made(aggregator=None, last=3.0):
    """Return a problem, a batch without a label of task `b`, and its step."""
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    problem = pose(model, TASKS, mz.balancers.Static([2.0, 3.0]), aggregator)
    labels = {"a": tf.constant([1.0, last]), "b": tf.constant([np.nan, np.nan])}
    batch = count(problem, portions((tf.ones((2, 3)), labels), 1))
    return problem, batch, compute(problem, batch)


def test_a_step_is_counted():
    problem, batch, step = made()
    found = logs.empty(TASKS)
    found.add_step(problem, batch, step)
    numbers = {name: float(value) for name, value in {**found.measured(), **found.of_training()}.items()}
    assert numbers["a_loss"] == numbers["loss"] == float(step.losses[0])
    assert (numbers["a_weight"], numbers["skipped_steps"]) == (2.0, 0.0)
    assert np.isnan([numbers["b_loss"], numbers["b_weight"]]).all()
    assert found.without_label() == ["b"]
    assert found.names == ["loss", "a_loss", "b_loss"]


def test_a_weight_is_that_of_balancer_and_aggregator():
    problem, batch, step = made(mz.aggregators.MGDA())
    found = logs.empty(TASKS)
    found.add_step(problem, batch, step)
    expected = 2.0 * float(problem.aggregator.task_weights[0])
    np.testing.assert_allclose(found.of_training()["a_weight"], expected)


def test_a_step_that_was_undone_names_its_task():
    problem, _, step = made(mz.aggregators.MGDA(), last=1e30)
    assert any(map(bool, step.faults()))
    np.testing.assert_array_equal(step.bad_rows(), [True, False])
    found = logs.empty(TASKS)
    found.add_skipped(step)
    assert found.skipped.reasons() == {"the loss of task 'a'": 1}
    assert float(found.of_training()["skipped_steps"]) == 1.0
    assert np.isnan(found.measured()["loss"])
    assert problem.methods[1].built


def test_a_batch_is_measured():
    problem, batch, step = made()
    found = logs.empty(TASKS)
    x, labels, _ = batch.portions[0]
    found.add_batch(problem, x, labels, problem.model(x), None)
    np.testing.assert_allclose(found.measured()["a_loss"], step.losses[0], rtol=1e-6)
