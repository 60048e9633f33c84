"""Preferences are scaled, or drawn from the centre to the corners."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.transfer.drawn_preferences import DrawnPreferences

NONE = np.zeros((4_000, 3), "float32")


def test_what_is_given_counts_by_its_shares():
    given = np.array([[2, 1, 1], [0, 5, 0], [0, 0, 0], [-3, 1, 0], [np.nan, 1, 1]], "float32")
    for training in (False, True):
        found = np.asarray(DrawnPreferences(seed=0)(given, training=training))
        np.testing.assert_allclose(found[[0, 1, 3]], [[0.5, 0.25, 0.25], [0, 1, 0], [0, 1, 0]])
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.asarray(DrawnPreferences()(given))[[2, 4]], 1 / 3)


def test_draws_go_from_the_centre_to_the_corners():
    layer = DrawnPreferences(steps=4, seed=0)
    found = [np.asarray(layer(NONE, training=True)) for _ in range(6)]
    np.testing.assert_allclose(found[0], 1 / 3, rtol=1e-6)
    reach = [np.abs(draw - 1 / 3).max() * 3 / 2 for draw in found]  # 1 in a corner
    np.testing.assert_allclose(reach, [0, 0.25, 0.5, 0.75, 1, 1], atol=0.03)
    # uniform on the simplex: the variance of a share is 1 / 18
    np.testing.assert_allclose(found[-1].var(axis=0), 1 / 18, rtol=0.1)
    assert float(layer.step) == 4
    np.testing.assert_allclose(layer(NONE[:2]), 1 / 3)  # nothing is drawn when it is used


def test_a_small_alpha_likes_corners():
    layers = {alpha: DrawnPreferences(steps=1, alpha=alpha, seed=0) for alpha in (0.2, 5.0)}
    for layer in layers.values():
        layer(NONE, training=True)
    largest = {
        alpha: np.asarray(layer(NONE, training=True)).max(axis=1).mean() for alpha, layer in layers.items()
    }
    assert largest[0.2] > 0.8 > 0.5 > largest[5.0]


def test_the_steps_go_on_from_a_file(tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, DrawnPreferences(steps=8, seed=1)(inputs))
    for _ in range(3):
        model(NONE[:2], training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.layers[-1].step) == 3


def test_xla_compiles_it():
    layer = DrawnPreferences(steps=2, seed=0)
    layer(NONE[:4])
    draw = tf.function(lambda x: layer(x, training=True), jit_compile=True)
    for _ in range(3):
        found = draw(NONE[:4])
    np.testing.assert_allclose(np.sum(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("given", [{"steps": 0}, {"alpha": 0.0}])
def test_wrong_arguments_are_refused(given):
    with pytest.raises(ValueError, match=rf"`{next(iter(given))}` must .* Received"):
        DrawnPreferences(**given)
