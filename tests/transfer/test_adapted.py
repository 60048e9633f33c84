"""Layers within a layer get adapters."""

import keras
import numpy as np
import pytest

from mtl_zoo.transfer.adapted import Adapted, within

X = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")


def attention(trainable=False):
    layer = keras.layers.MultiHeadAttention(2, 4, name="attention")
    layer.build(X.shape, X.shape)
    layer.trainable = trainable
    return layer


def test_projections_of_attention_are_within_it():
    paths = [path for path, *_ in within(attention())]
    assert paths == ["query", "key", "value", "attention_output"]


@pytest.mark.parametrize("trainable", [False, True])
def test_it_starts_as_the_layer_and_is_saved_with_it(trainable, tmp_path):
    base = attention(trainable)
    expected = base(X, X).numpy()
    layer = Adapted(base, {"query": 2, "value": 1}, rank=1)
    np.testing.assert_array_equal(layer(X, X, task=1), expected)
    for variable in layer.trainable_variables:
        variable.assign(variable + 0.5)
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, layer(inputs, inputs, task=1, use_causal_mask=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(X), model(X))
    number = 6 + 8 * trainable  # 3 pairs of matrices; 4 kernels and biases
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == number


def test_what_is_told_to_the_layers_within_is_forgotten_after_an_error():
    layer = Adapted(attention(), {"query": 2}, rank=1)
    with pytest.raises(ValueError):  # noqa: PT011  # by Keras, of any message
        layer(X[0, 0], X, task=1)
    assert layer.told.task is None
    assert layer.told.preferences is None


def test_a_layer_that_is_not_within_is_refused():
    with pytest.raises(ValueError, match=r"`copies` must be of layers in \['query', 'key'"):
        Adapted(attention(), {"dense": 1}, rank=1)
