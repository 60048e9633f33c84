"""Layers that train in ways of their own: without methods as in Keras, with methods too."""

import keras
import numpy as np
import pytest
from keras import layers

import mtl_zoo as mz

TASKS = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
LOSSES = {"kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"}
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = {"kind": np.arange(8) % 3, "size": X[:, :1]}


class Penalty(layers.Layer):
    def call(self, x):
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x)))
        return x


def network(middle=None):
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    hidden = layers.Dense(5, "relu", name="first")(x)
    hidden = middle(hidden) if middle else hidden
    hidden = layers.Dense(6, "tanh", name="second")(hidden)
    return keras.Model(x, {"kind": layers.Dense(3, name="kind")(hidden), "size": layers.Dense(1)(hidden)})


def with_loss():
    return network(Penalty())


def frozen():
    model = network()
    model.get_layer("first").trainable = False
    return model


def lora():
    model = network()
    for name in ("first", "second", "kind"):
        model.get_layer(name).enable_lora(2)
    return model


def quantized():
    model = network()
    model.get_layer("first").quantize("int8")
    return model


def quantized_lora():
    model = lora()
    for name in ("first", "kind"):
        model.get_layer(name).quantize("int8")
    return model


MODELS = (with_loss, frozen, lora, quantized, quantized_lora)


def arrays(model):
    return [np.asarray(weight, "float32") for weight in model.get_weights()]


def changed(model, before):
    pairs = zip(model.weights, arrays(model), before, strict=True)
    return {weight.path for weight, a, b in pairs if not np.array_equal(a, b)}


@pytest.mark.parametrize("make", MODELS)
def test_without_methods_the_update_is_that_of_keras(make):
    model, plain = make(), make()
    plain.compile(keras.optimizers.SGD(0.1), LOSSES, run_eagerly=True)
    expected = plain.fit(X, Y, shuffle=False, verbose=0).history["loss"]
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    found = trainer.fit(X, Y, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    for one, other in zip(arrays(model), arrays(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("space", ["shared", "representation"])
@pytest.mark.parametrize("make", MODELS)
def test_methods_train_what_can_be_trained(make, space):
    model = make()
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.PCGrad(), space=space)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = arrays(model)
    first, *_, last = trainer.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert last < first
    assert changed(model, before) == {variable.path for variable in model.trainable_variables}
