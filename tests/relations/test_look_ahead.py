import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.relations.look_ahead import look_ahead
from mtl_zoo.training.batch import portions
from mtl_zoo.training.problem import looking_ahead

TASKS = tuple(dataclasses.replace(mz.Task.regression(name), metrics=()) for name in "abc")
RANDOM = np.random.default_rng(0)
X = {"tokens": RANDOM.integers(0, 5, (8, 2)), "vector": RANDOM.normal(size=(8, 3)).astype("float32")}
Y = {name: RANDOM.normal(size=8).astype("float32") for name in "abc"}
Y["b"][5:] = np.nan


def network(shares=True):
    """Tasks a and b share an embedding and a normalized layer, b and c a layer on the vector; c has more."""
    tokens, vector = keras.Input((2,), name="tokens"), keras.Input((3,), name="vector")
    embedded = keras.layers.Flatten()(mz.layers.Embedding(5, 2)(tokens))
    left = keras.layers.BatchNormalization()(keras.layers.Dense(3)(embedded))
    right = keras.layers.Dense(2, activation="tanh", kernel_regularizer="l2")(vector)
    own = keras.layers.Dense(2)(vector)
    features = {"a": [left], "b": [left, right], "c": [right, own]}
    if not shares:
        features = {"a": [left], "b": [right], "c": [own]}
    outputs = {
        name: keras.layers.Dense(1)(keras.layers.Concatenate()(found) if len(found) > 1 else found[0])
        for name, found in features.items()
    }
    return keras.Model({"tokens": tokens, "vector": vector}, outputs)


def losses(model):
    found = model(X, training=True)
    labelled = {name: np.flatnonzero(np.isfinite(y)) for name, y in Y.items()}
    return [
        tf.reduce_mean((tf.gather(found[name][:, 0], labelled[name]) - Y[name][labelled[name]]) ** 2)
        for name in "abc"
    ]


def by_plain_keras(model, rate):
    """Return the affinities of tasks: one step after the other is made, measured and undone."""
    weights = model.get_weights()
    with tf.GradientTape(persistent=True) as tape:
        before = losses(model)
    rows = [tape.gradient(loss, model.trainable_variables) for loss in before]
    shared = [sum(g is not None for g in column) > 1 for column in zip(*rows, strict=True)]
    found = []
    for row in rows:
        for variable, gradient, is_shared in zip(model.trainable_variables, row, shared, strict=True):
            if is_shared and gradient is not None:
                variable.assign(variable - rate * tf.convert_to_tensor(gradient))
        found.append([1 - float(y / x) for x, y in zip(before, losses(model), strict=True)])
        model.set_weights(weights)
    return np.array(found)


@pytest.mark.parametrize("graph", [False, True])
def test_affinities_are_those_of_steps_that_are_made_and_undone(graph):
    keras.utils.set_random_seed(0)
    model = network()
    wanted = by_plain_keras(model, 0.1)
    problem, optimizer = looking_ahead(model, TASKS), keras.optimizers.SGD(0.1)
    optimizer.build(list(problem.variables))
    before = [np.array(variable) for variable in model.variables]

    def measure():
        data = tf.nest.map_structure(tf.constant, (X, Y))
        return look_ahead(problem, optimizer, portions(data, 1))

    values, known = tf.function(measure, autograph=False)() if graph else measure()
    np.testing.assert_allclose(values, wanted, rtol=2e-4, atol=2e-6)
    np.testing.assert_array_equal(known, np.ones((3, 3)))
    assert values[0, 2] == values[2, 0] == 0  # they share nothing
    assert min(abs(wanted[0, 1]), abs(wanted[2, 1])) > 1e-4
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_something_must_be_shared():
    problem = looking_ahead(network(shares=False), TASKS)
    data = tf.nest.map_structure(tf.constant, (X, Y))
    with pytest.raises(ValueError, match=r"variables that two tasks share\. Received: none for \['a'"):
        look_ahead(problem, keras.optimizers.SGD(0.1), portions(data, 1))
