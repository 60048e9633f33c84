import dataclasses

import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import logs, update
from mtl_zoo.training.batch import portions
from mtl_zoo.training.problem import pose

TASKS = tuple(dataclasses.replace(mz.Task.regression(name), metrics=()) for name in "ab")


def test_an_update_needs_no_trainer():
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    problem = pose(model, TASKS, aggregator=mz.aggregators.PCGrad(seed=0))
    optimizer, counted = keras.optimizers.SGD(0.1), logs.empty(TASKS)
    optimizer.build(list(problem.variables))
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    for _ in range(4):
        data = tf.constant(x), {"a": tf.constant(x[:, 0]), "b": tf.constant(x[:, 1])}
        update.make(problem, optimizer, None, portions(data, 2), counted)
    assert int(optimizer.iterations) == 4
    trainer = mz.Trainer(model, TASKS)
    trainer.compile("sgd")
    logged = trainer.test_on_batch(x, {"a": x[:, 0], "b": x[:, 1]}, return_dict=True)
    assert float(logged["loss"]) < float(counted.measured()["loss"])


def test_what_a_step_changes_is_restored():
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, {task.name: mz.heads.head(hidden, task) for task in TASKS})
    problem = pose(model, TASKS, mz.balancers.DWA(), mz.aggregators.PCGrad(seed=0))
    before = update.remember(problem)
    values = [np.array(value) for _, value in before]
    assert len(before) > 2
    for variable, value in before:
        variable.assign(tf.ones_like(value) + value)
    update.undo(before)
    for (variable, _), value in zip(before, values, strict=True):
        np.testing.assert_array_equal(variable, value)
