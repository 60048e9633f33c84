import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import NDDR


def towers(*shape):
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype("float32") for _ in range(3)]


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 4), (2, 3, 5, 4)])
def test_starts_as_a_weighted_mean_of_the_towers(shape):
    inputs = towers(*shape)
    for index, x in enumerate(NDDR(diagonal=0.8)(inputs)):
        others = sum(inputs) - inputs[index]
        np.testing.assert_allclose(x, 0.8 * inputs[index] + 0.1 * others, rtol=1e-4, atol=1e-6)


def test_values_by_hand():
    unit = NDDR()
    inputs = towers(2, 3, 4)
    unit(inputs)
    kernel = np.random.default_rng(1).normal(size=(3, 12, 4))
    unit.kernel.assign(kernel)
    expected = np.einsum("blc,tcd->tbld", np.concatenate(inputs, axis=-1), kernel)
    for x, wanted in zip(unit(inputs), expected, strict=True):
        np.testing.assert_allclose(x, wanted, rtol=1e-4, atol=1e-5)


def test_is_a_convolution_of_size_one_on_maps():
    unit = NDDR()
    inputs = towers(2, 3, 5, 4)
    unit(inputs)
    unit.kernel.assign(np.random.default_rng(1).normal(size=(3, 12, 4)))
    maps = np.concatenate(inputs, axis=-1)
    for x, kernel in zip(unit(inputs), np.array(unit.kernel), strict=True):
        np.testing.assert_allclose(x, keras.ops.conv(maps, kernel[None, None]), rtol=1e-4, atol=1e-5)


def test_one_tower_stays_as_it_is():
    x = towers(2, 4)[0]
    np.testing.assert_allclose(NDDR()([x])[0], x, rtol=1e-6)


def test_compiles_and_keeps_masks():
    unit = NDDR()
    inputs = towers(2, 3, 4)
    for compiled, eager in zip(tf.function(unit, jit_compile=True)(inputs), unit(inputs), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-6)
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    for x in unit([tokens, tokens, tokens]):
        assert np.array(x._keras_mask).tolist() == [[True, True, False]]


def test_errors():
    with pytest.raises(ValueError, match=r"All towers must have the same shape. Received: "):
        NDDR()([np.zeros((1, 4)), np.zeros((1, 2))])
