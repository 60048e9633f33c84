import keras
import numpy as np

from mtl_zoo.layers import StageMixture

STAGES = [np.full((2, 3), value, "float32") for value in (1.0, 10.0, 100.0)]


def test_starts_mostly_with_the_last_stage():
    unit = StageMixture()
    np.testing.assert_allclose(unit(STAGES), np.full((2, 3), 0.05 * 1 + 0.05 * 10 + 0.9 * 100), rtol=1e-6)
    np.testing.assert_allclose(StageMixture()(STAGES[:1]), STAGES[0])


def test_values_by_hand():
    unit = StageMixture()
    unit(STAGES)
    unit.kernel.assign([3.0, -2.0, 0.5])
    np.testing.assert_allclose(unit(STAGES), np.full((2, 3), 3.0 - 20.0 + 50.0))


def test_keeps_the_mask_of_the_last_stage():
    tokens = keras.layers.Embedding(5, 3, mask_zero=True)(np.array([[1, 2, 0]]))
    mixed = StageMixture()([tokens, tokens])
    assert np.array(mixed._keras_mask).tolist() == [[True, True, False]]
