"""The gradient of a task counts by its preference, the output is as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.transfer.weighed_gradient import WeighedGradient

SHARES = np.array([[0.1, 0.9], [0.6, 0.4]], "float32")


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_weighted_in_training(training):
    x = tf.Variable(np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32"))
    layer = WeighedGradient(1)
    with tf.GradientTape() as tape:
        y = layer(x, SHARES, training=training)
        loss = tf.reduce_sum(y**2)
    np.testing.assert_array_equal(y, x)
    weights = SHARES[:, 1, None, None] if training else 1.0
    np.testing.assert_allclose(tape.gradient(loss, x), 2 * weights * x.numpy(), rtol=1e-6)


def test_an_index_is_needed():
    with pytest.raises(ValueError, match=r"`task` must be an integer of at least 0\. Received: task=-1"):
        WeighedGradient(-1)


def test_masks_go_through():
    inputs = keras.Input((4,), dtype="int32")
    shares = keras.Input((2,))
    x = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    assert WeighedGradient(0)(x, shares)._keras_mask.shape == (None, 4)
