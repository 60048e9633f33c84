import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Harmonization


def test_values_by_hand():
    # Two tasks with three channels each: softmax over the pairs (0, 3), (1, 4), (2, 5).
    scores = np.log([[1.0, 2.0, 3.0, 3.0, 2.0, 1.0]])
    features = np.array([[4.0, 4.0, 4.0, 8.0, 8.0, 8.0]])
    weighted = Harmonization(2)([scores, features])
    np.testing.assert_allclose(weighted, [[1, 2, 3, 6, 4, 2]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 6), (2, 4, 6), (2, 4, 5, 6)])
def test_weights_of_all_tasks_sum_to_one_eager_and_compiled(shape):
    scores = np.random.default_rng(0).normal(size=shape).astype("float32")
    layer = Harmonization(3)
    for call in (layer, tf.function(layer, jit_compile=True)):
        weights = np.reshape(call([scores, np.ones(shape, "float32")]), (*shape[:-1], 3, 2))
        np.testing.assert_allclose(weights.sum(axis=-2), np.ones((*shape[:-1], 2)), rtol=1e-5)


def test_keeps_the_mask_and_unknown_sizes():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    assert np.array(Harmonization(2)([tokens, tokens])._keras_mask).tolist() == [[True, True, False]]
    maps = keras.Input((None, None, 4))
    assert Harmonization(2)([maps, maps]).shape == (None, None, None, 4)


def test_config_round_trip():
    assert Harmonization.from_config(Harmonization(3).get_config()).num_tasks == 3


@pytest.mark.parametrize("shapes", [((2, 4), (2, 6)), ((2, 5), (2, 5))])
def test_errors(shapes):
    with pytest.raises(ValueError, match=r"must have one shape, whose last axis 2 tasks share. Received: "):
        Harmonization(2)([np.ones(shape) for shape in shapes])
