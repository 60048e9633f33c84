import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import forward
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.problem import pose

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]
X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
LABELS = {"a": [1.0, np.nan, 3.0, 4.0, 5.0], "b": [np.nan, np.nan, 3.0, np.nan, np.nan]}


def stage(x, name):
    return keras.layers.Dense(4, "tanh", kernel_regularizer="l2", name=f"{name}_dense")(x)


def test_losses_of_portions_are_those_of_the_whole():
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, [stage])
    problem = pose(model, TASKS, mz.balancers.Static([2.0, 3.0]))
    logits = model(X)
    labels = {name: tf.constant(values) for name, values in LABELS.items()}
    expected = [
        np.nanmean((np.array(logits[name])[:, 0] - np.array(values)) ** 2) for name, values in LABELS.items()
    ]
    penalty = 0.01 * np.sum(np.array(model.get_layer("shared_1_dense").kernel) ** 2)
    for number in (1, 2):
        batch = count(problem, portions((tf.constant(X), labels), number))
        passes = [forward.record(problem, batch, index)[1] for index in range(number)]
        balanced = forward.balance(problem, batch, forward.total([found.sums for found in passes]))
        np.testing.assert_allclose(balanced.losses, expected, rtol=1e-5)
        np.testing.assert_array_equal(balanced.seeds, [2.0, 3.0])
        np.testing.assert_allclose(forward.measure(problem, batch), expected, rtol=1e-5)
        np.testing.assert_allclose(sum(found.targets[0] for found in passes), penalty, rtol=1e-5)
        assert [float(n) for found in passes for _, n in found.penalties] == ([5] if number == 1 else [2, 3])


def test_measuring_leaves_everything_as_it_is():
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, {task.name: mz.heads.head(hidden, task) for task in TASKS})
    before = model.get_weights()
    labels = {name: tf.constant(values) for name, values in LABELS.items()}
    problem = pose(model, TASKS)
    forward.measure(problem, count(problem, portions((tf.constant(X), labels), 1)))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)
