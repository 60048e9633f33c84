import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import FeatureGate


def expected(layer, x, average):
    scores = np.exp(average @ layer.choose.kernel.numpy())
    shares = scores / scores.sum(axis=1, keepdims=True)
    low_rank = [
        down.kernel.numpy() @ up.kernel.numpy() for down, up in zip(layer.down, layer.up, strict=True)
    ]
    scales = [2 / (1 + np.exp(-average @ matrix)) for matrix in low_rank]
    gate = np.einsum("bl,lbc->bc", shares, np.stack(scales))
    return x * gate.reshape(len(x), *[1] * (x.ndim - 2), x.shape[-1])


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5, 3)])
def test_values_by_hand_eager_and_compiled(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = FeatureGate(rank=2, num_gates=3)
    average = x.reshape(2, -1, 3).mean(axis=1)
    for call in (layer, tf.function(layer, jit_compile=True)):
        np.testing.assert_allclose(call(x), expected(layer, x, average), rtol=1e-4, atol=1e-6)


def test_padding_does_not_count():
    x = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    layer, values = FeatureGate(), np.array(x)
    average = np.stack([values[0, :2].mean(axis=0), values[1, 0]])
    np.testing.assert_allclose(layer(x), expected(layer, values, average), rtol=1e-4, atol=1e-6)


def test_parameter_count():
    layer = FeatureGate(rank=2, num_gates=3)
    layer.build((None, 4, 5))
    assert layer.count_params() == 3 * (5 * 2 + 2 * 5) + 5 * 3


def test_saving_and_half_precision(tmp_path):
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, FeatureGate(rank=1, num_gates=1, dtype="mixed_bfloat16")(inputs))
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    assert model(x).dtype == tf.bfloat16
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(copy(x), model(x))
    assert (copy.layers[-1].rank, copy.layers[-1].num_gates) == (1, 1)
