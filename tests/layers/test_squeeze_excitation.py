import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import SqueezeExcitation


def expected(layer, x, average):
    hidden = np.maximum(average @ layer.squeeze.kernel + layer.squeeze.bias, 0)
    gate = 1 / (1 + np.exp(-(hidden @ layer.excite.kernel + layer.excite.bias)))
    return x * gate.reshape(len(x), *[1] * (x.ndim - 2), x.shape[-1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 3), (2, 4, 5, 3)])
def test_values_by_hand_eager_and_compiled(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = SqueezeExcitation()
    average = x.reshape(2, -1, 3).mean(axis=1)
    for call in (layer, tf.function(layer, jit_compile=True)):
        np.testing.assert_allclose(call(x), expected(layer, x, average), rtol=1e-4, atol=1e-6)


def test_padding_does_not_count():
    x = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    layer = SqueezeExcitation()
    values = np.array(x)
    average = np.stack([values[0, :2].mean(axis=0), values[1, 0]])
    gated = layer(x)
    np.testing.assert_allclose(gated, expected(layer, values, average), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(gated._keras_mask, x._keras_mask)


def test_padding_alone_has_the_average_of_zeros():
    x, layer = np.ones((1, 2, 3), "float32"), SqueezeExcitation()
    gated = layer(x, mask=np.zeros((1, 2), bool))
    np.testing.assert_allclose(gated, expected(layer, x, np.zeros((1, 3))), rtol=1e-5)


@pytest.mark.parametrize(("channels", "units"), [(64, 8), (512, 32)])
def test_parameter_counts(channels, units):
    layer = SqueezeExcitation()
    layer.build((None, 4, 4, channels))
    assert layer.count_params() == channels * units + units + units * channels + channels


def test_saving_and_half_precision(tmp_path):
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, SqueezeExcitation(reduction=2, dtype="mixed_bfloat16")(inputs))
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype("float32")
    assert model(x).dtype == tf.bfloat16
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))
    assert copy.layers[-1].reduction == 2
