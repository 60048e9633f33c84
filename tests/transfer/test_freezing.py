"""Frozen parts: which they are, and that nothing in them moves."""

import keras
import numpy as np
import pytest
from keras import layers

import mtl_zoo as mz
from mtl_zoo.transfer import add_task, freeze

TASKS = [mz.Task.binary("left"), mz.Task.regression("right")]
X = np.random.default_rng(0).normal(3.0, size=(16, 4)).astype("float32")
Y = {"left": (X[:, 0] > 3).astype(int), "right": X[:, 1]}


def network():
    """A trunk of a layer and a batch normalization, and a tower of the left task."""
    x = keras.Input((4,))
    trunk = layers.BatchNormalization(name="norm")(layers.Dense(5, name="dense")(x))
    tower = layers.Dense(3, name="tower")(trunk)
    heads = zip(TASKS, (tower, trunk), strict=True)
    return keras.Model(x, {task.name: mz.heads.head(end, task) for task, end in heads})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"shared": True}, ["dense", "norm"]),
        ({"tasks": ["left"]}, ["tower", "left_logits"]),
        ({"layers": ["norm"]}, ["norm"]),
        ({"tasks": ["right"], "shared": True, "layers": ["norm"]}, ["dense", "norm", "right_logits"]),
    ],
)
def test_parts_stay_as_they_are_in_training(given, wanted):
    model = network()
    frozen = freeze(model, **given)
    assert [layer.name for layer in frozen] == wanted
    before = {layer.name: layer.get_weights() for layer in model.layers}
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.1))
    trainer.fit(X, Y, batch_size=8, verbose=0)
    for layer in model.layers:
        pairs = zip(before[layer.name], layer.get_weights(), strict=True)
        moved = [np.abs(a - b).max() > 0 for a, b in pairs]
        assert not any(moved) if layer.name in wanted else all(moved), layer.name


def test_a_frozen_trunk_answers_the_same_in_training():
    model = network()
    freeze(model, shared=True)
    trunk = keras.Model(model.input, model.get_layer("norm").output)
    np.testing.assert_array_equal(trunk(X, training=True), trunk(X))


def test_a_layer_can_be_trained_again():
    model = network()
    for layer in freeze(model, shared=True):
        layer.trainable = True
    assert len(model.trainable_variables) == 10


def test_parts_of_inner_models_are_found():
    x = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, name="within")], name="inner")
    trunk = inner(x)
    model = keras.Model(x, {task.name: mz.heads.head(trunk, task) for task in TASKS})
    assert [layer.name for layer in freeze(model, shared=True)] == ["within"]
    assert len(model.trainable_variables) == 4
    inner.trainable = True
    assert [layer.name for layer in freeze(model, layers=["inner"])] == ["inner"]
    assert len(model.trainable_variables) == 4


def test_the_old_task_of_a_model_that_gets_another():
    model = add_task(network(), mz.Task.binary("new"))
    freeze(model, tasks=["left", "right"], shared=True)
    assert [variable.path for variable in model.trainable_variables] == [
        "new_logits/kernel",
        "new_logits/bias",
    ]


def spectral():
    x = keras.Input((4,))
    return keras.Model(x, layers.SpectralNormalization(layers.Dense(3), name="spectral")(x))


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (network, {"tasks": ["middle"]}, "`tasks` must be of the model"),
        (network, {"layers": ["middle"]}, "`layers` must be of the model"),
        (network, {"tasks": "left"}, "`tasks` must be a sequence of strings"),
        (network, {"shared": 1}, "`shared` must be"),
        (network, {}, "must choose layers with weights"),
        (spectral, {"layers": ["spectral"]}, "SpectralNormalization"),
    ],
)
def test_what_cannot_be_is_refused(model, given, message):
    with pytest.raises(ValueError, match=f"{message}.*Received|Received.*{message}"):
        freeze(model(), **given)
