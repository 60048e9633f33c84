import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import SequenceAverage

X = np.random.default_rng(0).normal(size=(3, 4, 2)).astype("float32")
MASK = np.array([[True, True, True, True], [True, False, True, False], [False] * 4])


def test_values_by_hand_eager_and_compiled():
    unit = SequenceAverage()
    expected = [X[0].mean(axis=0), X[1, [0, 2]].mean(axis=0), np.zeros(2)]
    for call in (unit, tf.function(unit, jit_compile=True)):
        np.testing.assert_allclose(call(X, mask=MASK), expected, rtol=1e-5)
        np.testing.assert_allclose(call(X), X.mean(axis=1), rtol=1e-5, atol=1e-7)


def test_it_is_the_layer_of_keras_where_that_one_is_finite():
    with np.errstate(invalid="ignore"):
        expected = keras.layers.GlobalAveragePooling1D()(X[:2], mask=MASK[:2])
    np.testing.assert_allclose(SequenceAverage()(X[:2], mask=MASK[:2]), expected, rtol=1e-6)


def test_padding_has_a_gradient_of_zero():
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(SequenceAverage()(x, mask=MASK))
    expected = np.where(MASK[..., None], 1 / np.maximum(MASK.sum(axis=1), 1)[:, None, None], 0)
    np.testing.assert_allclose(tape.gradient(value, x), np.broadcast_to(expected, X.shape), rtol=1e-6)


def test_what_is_not_finite_at_padding_does_not_count():
    x = np.where(MASK[..., None], X, np.nan)
    np.testing.assert_array_equal(SequenceAverage()(x, mask=MASK), SequenceAverage()(X, mask=MASK))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_takes_the_mask_of_keras_and_ends_it(policy):
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(5, 3, mask_zero=True, dtype=policy)(tokens)
    model = keras.Model(tokens, SequenceAverage(dtype=policy)(x))
    assert model.output.shape == (None, 3)
    assert getattr(model.output, "_keras_mask", None) is None
    short, padded = model(np.array([[1, 2]])), model(np.array([[1, 2, 0]]))
    np.testing.assert_allclose(padded, short, rtol=1e-3)
    np.testing.assert_array_equal(model(np.zeros((2, 3))), np.zeros((2, 3)))
