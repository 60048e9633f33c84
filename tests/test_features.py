import keras
import numpy as np
import pytest

from mtl_zoo.features import current, match, mix_towers, pool, replace_current


def apply(function, *arrays):
    """Run a function of Keras tensors on arrays."""
    inputs = [keras.Input(array.shape[1:]) for array in arrays]
    return np.array(keras.Model(inputs, function(*inputs))(list(arrays)))


def test_current_features_are_the_last_of_a_list():
    assert current("x") == "x"
    assert current(["skip", "x"]) == "x"
    assert replace_current("x", "y") == "y"
    assert replace_current(["skip", "x"], "y") == ["skip", "y"]


def test_towers_mix_their_current_features_alone():
    def swap(tensors):
        return tensors[::-1]

    assert mix_towers(swap, ["a", "b"]) == ["b", "a"]
    assert mix_towers(swap, [["s", "a"], ["t", "b"]]) == [["s", "b"], ["t", "a"]]


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 2, 3)])
def test_pool_is_the_mean_over_positions(shape):
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(apply(lambda t: pool(t, "x"), x), x.reshape(2, -1, 3).mean(axis=1), rtol=1e-5)


def test_match_averages_blocks_of_maps_and_sequences():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    like = np.zeros((1, 2, 2, 1), "float32")
    means = x.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(apply(lambda a, b: match(a, b, "x"), x, like)[0, ..., 0], means)
    sequence = x.reshape(1, 16, 1)
    matched = apply(lambda a, b: match(a, b, "x"), sequence, np.zeros((1, 4, 1), "float32"))
    np.testing.assert_allclose(matched[0, :, 0], np.arange(16).reshape(4, 4).mean(axis=1))


@pytest.mark.parametrize(
    ("shape", "like"), [((2, 2, 1), (5, 4, 1)), ((6, 6, 1), (4, 4, 1)), ((3, 1), (6, 1))]
)
def test_match_interpolates_what_is_constant_to_itself(shape, like):
    matched = apply(lambda a, b: match(a, b, "x"), np.full((1, *shape), 7.0, "float32"), np.zeros((1, *like)))
    np.testing.assert_allclose(matched, np.full((1, *like), 7.0), rtol=1e-6)


def test_match_brings_maps_of_unknown_size_to_a_known_one():
    x = keras.Input((None, None, 1))
    model = keras.Model(x, match(x, keras.Input((4, 4, 1)), "x"))
    np.testing.assert_allclose(model(np.full((1, 6, 7, 1), 3.0)), np.full((1, 4, 4, 1), 3.0), rtol=1e-6)


def test_match_projects_channels_and_pools_for_vectors():
    x, like = keras.Input((4, 4, 3)), keras.Input((5,))
    assert match(x, like, "x").shape == (None, 5)
    assert match(x, keras.Input((4, 4, 7)), "y").shape == (None, 4, 4, 7)
    assert match(x, keras.Input((4, 4, 3)), "z") is x


@pytest.mark.parametrize(
    ("shape", "like", "message"),
    [
        ((3,), (4, 4, 3), "cannot be brought to the shape"),
        ((5, 3), (2, 3), "of length 5 cannot be brought to"),
    ],
)
def test_match_errors(shape, like, message):
    with pytest.raises(ValueError, match=message):
        match(keras.Input(shape), keras.Input(like), "x")
