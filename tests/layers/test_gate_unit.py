import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import GateUnit

PRIOR = np.random.default_rng(1).normal(size=(2, 5)).astype("float32")


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 3), (2, 4, 5, 3)])
def test_values_by_hand_eager_and_compiled(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = GateUnit(units=6)
    layer.build([shape, PRIOR.shape])
    hidden = np.maximum(PRIOR @ layer.hidden.kernel.numpy() + layer.hidden.bias, 0)
    gate = 2 / (1 + np.exp(-(hidden @ layer.gate.kernel.numpy() + layer.gate.bias)))
    expected = x * gate.reshape(2, *[1] * (x.ndim - 2), 3)
    for call in (layer, tf.function(lambda *inputs: layer(list(inputs)), jit_compile=True)):
        found = call([x, PRIOR]) if call is layer else call(x, PRIOR)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_parameter_count():
    for units, between in ((None, 3), (8, 8)):
        layer = GateUnit(units)
        layer.build([(None, 4, 3), (None, 5)])
        assert layer.count_params() == 5 * between + between + between * 3 + 3


def test_the_mask_is_that_of_the_features():
    x = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    np.testing.assert_array_equal(GateUnit()([x, PRIOR])._keras_mask, x._keras_mask)


def test_saving_and_half_precision(tmp_path):
    inputs = [keras.Input((4, 3)), keras.Input((5,))]
    model = keras.Model(inputs, GateUnit(units=2, dtype="mixed_bfloat16")(inputs))
    x = [np.ones((2, 4, 3), "float32"), PRIOR]
    assert model(x).dtype == tf.bfloat16
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.layers[-1].units == 2
