import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import InformationTransfer


def test_values_by_hand():
    layer = InformationTransfer()
    layer.build([(None, 2), (None, 2)])
    layer.query.assign(np.eye(2))
    layer.key.assign(np.eye(2) * np.sqrt(2))  # so that scores are squared norms
    layer.value.assign([[10, 0], [0, 100]])
    transferred, own = np.array([[1.0, 1.0]]), np.array([[np.sqrt(2 + np.log(3)), 0.0]])
    # Scores 2 and 2 + log 3: weights 1/4 and 3/4.
    expected = 0.25 * np.array([[10, 100]]) + 0.75 * np.array([[10 * np.sqrt(2 + np.log(3)), 0]])
    np.testing.assert_allclose(layer([transferred, own]), expected, rtol=1e-5)


def test_parameter_count():
    layer = InformationTransfer()
    layer.build([(None, 5), (None, 5)])
    assert layer.count_params() == 3 * 5 * 5  # h1, h2, h3


def test_two_equal_vectors_give_their_value():
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    layer = InformationTransfer()
    np.testing.assert_allclose(layer([x, x]), x @ layer.value, rtol=1e-4, atol=1e-6)


def test_compiled_equals_eager_and_saved(tmp_path):
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, InformationTransfer()(inputs))
    model.save(tmp_path / "model.keras")
    x = list(np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32"))
    np.testing.assert_allclose(tf.function(model, jit_compile=True)(x), model(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x), model(x))


def test_unequal_shapes():
    with pytest.raises(ValueError, match=r"Both vectors must have the same shape. Received: "):
        InformationTransfer()([np.ones((2, 3)), np.ones((2, 4))])
