import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Mixture


@pytest.mark.parametrize("shape", [(4,), (3, 4), (3, 5, 4)])
def test_values_by_hand(shape):
    random = np.random.default_rng(0)
    gate = random.uniform(size=(2, 3)).astype("float32")
    experts = [random.normal(size=(2, *shape)).astype("float32") for _ in range(3)]
    expected = np.einsum("be,eb...->b...", gate, np.stack(experts))
    np.testing.assert_allclose(Mixture()([gate, *experts]), expected, rtol=1e-5, atol=1e-6)
    compiled = tf.function(Mixture(), jit_compile=True)
    np.testing.assert_allclose(compiled([gate, *experts]), expected, rtol=1e-5, atol=1e-6)


def test_a_gate_of_one_picks_an_expert():
    experts = [np.full((2, 3), value, "float32") for value in (1.0, 2.0, 3.0)]
    mixed = Mixture()([np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "float32"), *experts])
    np.testing.assert_array_equal(mixed, [[2.0] * 3, [3.0] * 3])


def test_keeps_the_mask_of_the_experts():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    mixed = Mixture()([np.ones((1, 2), "float32"), tokens, tokens])
    assert np.array(mixed._keras_mask).tolist() == [[True, True, False]]


@pytest.mark.parametrize("shapes", [((1, 3), (1, 4), (1, 4)), ((1, 2), (1, 4), (1, 5))])
def test_errors(shapes):
    with pytest.raises(
        ValueError, match=r"one weight per expert, and all experts one shape. Received: a gate of"
    ):
        Mixture()([np.zeros(shape) for shape in shapes])
