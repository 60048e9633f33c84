import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.layers import SelfAttention


def by_hand(unit, x):
    """Attend in float64, from the weights of Keras' layer."""
    names = ("query", "key", "value")
    weights = {v.path.split("/")[-2]: [] for v in unit.attention.weights}
    for variable in unit.attention.weights:
        weights[variable.path.split("/")[-2]].append(np.array(variable, "float64"))
    query, key, value = (np.einsum("blc,chd->bhld", x, weights[n][0]) + weights[n][1][:, None] for n in names)
    scores = np.exp(query @ np.swapaxes(key, -1, -2) / np.sqrt(query.shape[-1]))
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    return np.einsum("bhld,hdc->blc", mixed, weights["attention_output"][0]) + weights["attention_output"][1]


def test_values_by_hand():
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    unit = SelfAttention(num_heads=2)
    np.testing.assert_allclose(unit(x), by_hand(unit, x.astype("float64")), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tf.function(unit, jit_compile=True)(x), unit(x), rtol=1e-4, atol=1e-5)


def test_padding_is_not_attended_to_and_the_input_keeps_its_mask():
    embedding, unit = keras.layers.Embedding(5, 4, mask_zero=True), SelfAttention(num_heads=2)
    short, padded = embedding(np.array([[1, 2]])), embedding(np.array([[1, 2, 0]]))
    np.testing.assert_allclose(unit(padded)[:, :2], unit(short), rtol=1e-5, atol=1e-6)
    assert np.array(padded._keras_mask).tolist() == [[True, True, False]]
    assert np.array(unit(padded)._keras_mask).tolist() == [[True, True, False]]
    np.testing.assert_allclose(unit(padded)[:, :2], unit(short), rtol=1e-5, atol=1e-6)  # once more


def test_padding_alone_is_finite_with_its_gradient():
    x, unit = tf.ones((2, 3, 4)), SelfAttention(num_heads=2)
    mask = np.array([[True, False, False], [False, False, False]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        attended = unit(x, mask=mask)
        value = tf.reduce_sum(attended)
    assert np.all(np.isfinite(attended))
    assert np.all(np.isfinite(tape.gradient(value, x)))
