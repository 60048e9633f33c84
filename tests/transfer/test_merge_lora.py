"""Merged models: plain layers with the same answers, one copy per stream."""

import keras
import numpy as np
import pytest

import mtl_zoo as mz

TASKS = [mz.Task.classification("left", 3), mz.Task.binary("right")]
RANDOM = np.random.default_rng(0)


def test_streams_have_copies_and_what_is_shared_is_one():
    inputs = keras.Input((6,), dtype="int32", name="x")
    x = keras.layers.Embedding(9, 8, mask_zero=True, name="table")(inputs)
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    base = keras.Model(inputs, keras.layers.Dense(5, "relu", name="dense")(x))
    model = mz.transfer.lora(base, TASKS, rank=2, shared="table")
    for variable in model.trainable_variables:
        variable.assign(variable + 0.3 * RANDOM.normal(size=variable.shape))
    plain = mz.transfer.merge_lora(model)
    tokens = RANDOM.integers(0, 9, (4, 6))
    for name, answer in model(tokens).items():
        np.testing.assert_allclose(plain(tokens)[name], answer, atol=1e-5)
    names = {layer.name for layer in plain.layers}
    assert {"table", "attention_0", "attention_1", "dense_0", "dense_1"} <= names
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras", "mtl_zoo"}
    assert mz.transfer.trained_parameters(plain)["adapters"] == 0


def test_what_is_not_functional_is_refused():
    with pytest.raises(ValueError, match=r"`model` must be a functional or sequential `keras.Model`"):
        mz.transfer.merge_lora(keras.Model())
