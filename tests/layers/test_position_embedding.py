import keras
import numpy as np

from mtl_zoo.layers import PositionEmbedding


def test_adds_the_first_positions():
    unit = PositionEmbedding(6)
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(unit(x), x + np.array(unit.positions)[:4], rtol=1e-6)
    assert len(np.unique(np.array(unit.positions), axis=0)) == 6


def test_keeps_the_mask():
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    assert np.array(PositionEmbedding(3)(tokens)._keras_mask).tolist() == [[True, True, False]]
