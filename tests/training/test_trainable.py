"""What is trainable is settled by `compile`."""

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from tests.harness import instance, methods

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]
X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = {"a": X[:, 0], "b": X[:, 1]}
KEEPING = [
    name
    for name, cls in methods(mz.aggregators, mz.aggregators.Aggregator).items()
    if cls.state_per_parameter or cls.state_per_block
]


def make_model():
    keras.utils.set_random_seed(0)
    backbone_input = keras.Input((4,))
    hidden = keras.layers.Dense(8, activation="relu")(backbone_input)
    backbone = keras.Model(backbone_input, keras.layers.BatchNormalization()(hidden), name="backbone")
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(6, activation="tanh")(backbone(inputs))
    outputs = {name: keras.layers.Dense(1, name=name)(hidden) for name in "ab"}
    return keras.Model(inputs, outputs), backbone


def moved(trainer, layer):
    before = [np.array(v) for v in layer.trainable_weights or layer.weights[:2]]
    logs = trainer.fit(X, Y, epochs=2, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    now = layer.trainable_weights or layer.weights[:2]
    return any((np.array(v) != b).any() for v, b in zip(now, before, strict=True))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("aggregator", [*KEEPING, "PCGrad", "GradNorm"])
def test_layers_are_frozen_and_unfrozen_between_compilations(aggregator, first):
    model, backbone = make_model()
    backbone.trainable = first
    trainer = mz.Trainer(model, TASKS, aggregator=instance(getattr(mz.aggregators, aggregator)))
    for trainable in (first, not first, first):
        backbone.trainable = trainable
        trainer.compile(keras.optimizers.SGD(0.05))
        assert moved(trainer, backbone) is trainable


@pytest.mark.parametrize("aggregator", KEEPING)
def test_state_stays_where_what_is_trainable_stays(aggregator):
    model, _ = make_model()
    trainer = mz.Trainer(model, TASKS, aggregator=instance(getattr(mz.aggregators, aggregator)))
    trainer.compile(keras.optimizers.SGD(0.05))
    trainer.fit(X, Y, verbose=0)
    before = [np.array(v) for v in trainer.aggregator.variables]
    trainer.compile(keras.optimizers.SGD(0.05))
    for variable, value in zip(trainer.aggregator.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_freezing_takes_effect_with_the_next_compilation_as_in_keras():
    model, backbone = make_model()
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.MoCo())
    trainer.compile(keras.optimizers.SGD(0.05))
    backbone.trainable = False
    kernel = np.array(backbone.layers[1].kernel)
    trainer.fit(X, Y, verbose=0)
    assert (np.array(backbone.layers[1].kernel) != kernel).any()


@pytest.mark.parametrize("first", [True, False])
def test_representation_space_with_a_frozen_trunk_trains_the_heads(first):
    model, _ = make_model()
    trunk = model.layers[:-2]
    for layer in trunk:
        layer.trainable = first
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.MGDA(), space="representation")
    for trainable in (first, not first):
        for layer in trunk:
            layer.trainable = trainable
        trainer.compile(keras.optimizers.SGD(0.05))
        assert moved(trainer, model.get_layer("a"))
        assert moved(trainer, trunk[-1]) is trainable
