import keras
import pytest
from absl import logging
from keras import layers, ops

from mtl_zoo.transfer import trunk
from tests.transfer.networks import network


def found(base, *models):
    """Return the names of the layers with weights in the trunk."""
    graphs, numbers = trunk.find(base, models)
    return list(trunk.layers_of(graphs[0], numbers))


def sequence(*units, names="abcdefg", **arguments):
    """Return a chain of dense layers."""
    x = inputs = keras.Input((4,))
    for size, name in zip(units, names, strict=False):
        x = layers.Dense(size, name=name, **arguments)(x)
    return keras.Model(inputs, x)


def test_a_base_with_or_without_heads():
    left, right = network(left=2), network(right=2)
    assert found(network(), left, right) == ["conv", "norm", "dense"]
    assert found(network(any=2), left, right) == ["conv", "norm", "dense"]
    assert found(network(left=2, right=2), left, right) == ["conv", "norm", "dense"]


def test_the_last_layer_before_an_output_is_a_head_even_if_all_have_it():
    assert found(sequence(3, 5), sequence(3, 5), sequence(3, 2)) == ["a"]
    assert found(sequence(3), sequence(3, 5)) == ["a"]


def test_copies_from_files_and_clones_are_the_same(tmp_path):
    base = network(any=2)
    base.save(tmp_path / "base.keras")
    again = trunk.read("base", tmp_path / "base.keras")
    assert found(again, base, keras.models.clone_model(base)) == ["conv", "norm", "dense"]


def test_how_a_layer_is_trained_does_not_count():
    frozen = sequence(3, 3, 2, kernel_regularizer="l2", kernel_initializer="zeros")
    frozen.trainable = False
    assert found(sequence(3, 3, 2, dtype="mixed_float16"), frozen) == ["a", "b"]


def test_operations_without_names_and_layers_called_twice():
    def residual(**heads):
        inputs = keras.Input((4,))
        again = layers.Dense(4, name="again")
        x = ops.relu(again(again(inputs))) + inputs
        return keras.Model(inputs, {name: layers.Dense(n)(x) for name, n in heads.items()})

    graphs, numbers = trunk.find(residual(any=1), [residual(left=2), residual(right=3)])
    assert list(trunk.layers_of(graphs[0], numbers)) == ["again"]
    assert len(numbers) == 4  # two calls, a function and a sum


def test_a_trunk_that_ends_early_is_told(monkeypatch):
    told = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: told.append(text % values))
    short = keras.Model((x := keras.Input((4,))), layers.Dense(2, name="z")(layers.Dense(3, name="a")(x)))
    assert found(sequence(3, 3, 2), short) == ["a"]
    assert told == ["Layers ['b'] of `base` are not merged: not every model has them before its heads."]


def shared_twice():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="a")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="c")(layers.Dense(3, name="b")(x + inputs)))


@pytest.mark.parametrize(
    ("base", "model", "message"),
    [
        (
            lambda: sequence(3, 3, 2),
            lambda: sequence(5, 3, 2),
            r"Layer 'a' must be the same in `base` and in `models\[0\]`, or have another name in one .* "
            r"Received: {'shapes': \[\(4, 3\), \(3,\)\], 'units': 3} and {'shapes': \[\(4, 5\), ",
        ),
        (
            lambda: sequence(3, 3, 2),
            lambda: sequence(3, 3, 2, activation="relu"),
            r"Received: {'activation': 'linear'} and {'activation': 'relu'}",
        ),
        (
            lambda: sequence(4, 3, 2),
            shared_twice,
            r"Layer 'b' must be called on the same tensors.* Received calls on {'base': \[\['a'\]\], ",
        ),
        (
            lambda: sequence(4, 3, 2),
            lambda: sequence(4, 3, 2, names="xyz"),
            r"`models` must be made from `base`: .* Received: \[\('base', \['a', 'b', 'c'\]\), ",
        ),
        (
            lambda: keras.Model((x := keras.Input((5,))), layers.Dense(3, name="a")(x)),
            lambda: sequence(3, 2),
            r"`models\[0\]` must have the inputs of `base`, \[\(\(None, 5\), 'float32'\)\]\. Received: ",
        ),
        (
            lambda: keras.Model({"x": (x := keras.Input((4,), name="x"))}, layers.Dense(3, name="a")(x)),
            lambda: keras.Model({"y": (x := keras.Input((4,), name="y"))}, layers.Dense(3, name="a")(x)),
            r"must have the inputs of `base`, {'x': .* Received: {'y': ",
        ),
    ],
)
def test_what_does_not_descend_from_the_base_is_refused(base, model, message):
    with pytest.raises(ValueError, match=message):
        trunk.find(base(), [model()])


def test_only_functional_models_and_their_files_are_read(tmp_path):
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(
        ValueError, match=r"`base` must be a functional `keras.Model`.* Received: 'own', which"
    ):
        trunk.read("base", Own(name="own"))
    with pytest.raises(
        ValueError, match=r"`base` must be a `keras.Model` or a `.keras` file. Received: 'x.h5'"
    ):
        trunk.read("base", "x.h5")
    with pytest.raises(FileNotFoundError):
        trunk.read("base", tmp_path / "none.keras")
    chain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    assert isinstance(trunk.read("base", chain), keras.Function)
