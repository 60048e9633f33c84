import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import ChainOfProbabilities


def chain(*logits):
    return ChainOfProbabilities()([np.array([[z]], "float32") for z in logits])[0, 0]


def logit(p):
    return np.log(p) - np.log1p(-p)


def test_values_by_hand():
    np.testing.assert_allclose(chain(logit(0.5), logit(0.25)), logit(0.125), rtol=1e-6)
    np.testing.assert_allclose(chain(logit(0.9), logit(0.8), logit(0.7)), logit(0.504), rtol=1e-5)
    np.testing.assert_allclose(chain(logit(0.3)), logit(0.3), rtol=1e-6)


@pytest.mark.parametrize("first", [-100.0, -20.0, -1.0, 0.0, 1.0, 20.0, 100.0])
@pytest.mark.parametrize("second", [-100.0, -20.0, -1.0, 0.0, 1.0, 20.0, 100.0])
def test_value_and_gradient_are_those_of_double_precision(first, second):
    # With odds u = exp(-a), v = exp(-b) against, the result is -log(u + v + uv);
    # its derivative with respect to a is u (1 + v) / (u + v + uv).
    u, v = np.exp(-np.float64(first)), np.exp(-np.float64(second))
    inputs = [tf.Variable([[first]]), tf.Variable([[second]])]
    layer = ChainOfProbabilities()
    for call in (layer, tf.function(layer, jit_compile=True)):
        with tf.GradientTape() as tape:
            result = call(inputs)
        np.testing.assert_allclose(result, [[-np.log(u + v + u * v)]], rtol=1e-5, atol=1e-6)
        gradient = tape.gradient(result, inputs)
        np.testing.assert_allclose(gradient[0], [[u * (1 + v) / (u + v + u * v)]], rtol=1e-4, atol=1e-37)
        np.testing.assert_allclose(gradient[1], [[v * (1 + u) / (u + v + u * v)]], rtol=1e-4, atol=1e-37)


def test_is_never_more_probable_than_any_event_and_does_not_depend_on_their_order():
    logits = np.random.default_rng(0).normal(scale=5, size=(4, 100, 1)).astype("float32")
    result = ChainOfProbabilities()(list(logits))
    assert np.all(result <= logits.min(axis=0) + 1e-5)
    np.testing.assert_allclose(ChainOfProbabilities()(list(logits[::-1])), result, rtol=1e-5)


def test_works_in_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = ChainOfProbabilities()
    finally:
        keras.config.set_dtype_policy("float32")
    assert layer([np.ones((2, 1)), np.ones((2, 1))]).dtype == tf.float32
    assert ChainOfProbabilities.from_config(layer.get_config()).compute_dtype == "float32"
