import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Branch
from mtl_zoo.layers.branch import SPEED

PARENTS = [np.full((2, 3), value, "float32") for value in (1.0, 10.0, 100.0)]


def built(**arguments):
    unit = Branch(num_children=2, **arguments)
    unit(PARENTS)
    return unit


def test_a_child_sees_its_likeliest_parent_at_inference():
    unit = built()
    unit.logits.assign([[0.0, 0.0, 0.5], [0.0, 2.0, 1.0]])
    first, second = unit(PARENTS)
    np.testing.assert_array_equal(first, PARENTS[2])
    np.testing.assert_array_equal(second, PARENTS[1])
    assert unit.choices().tolist() == [2, 1]


def train_at(unit, progress, parents=PARENTS):
    unit.training_progress.assign(progress)
    return [np.array(child) for child in unit(parents, training=True)]


def test_a_child_sees_one_parent_in_the_search():
    keras.utils.set_random_seed(0)
    unit = built()
    for progress in (-1.0, 0.1, 0.3, 0.49):
        draws = {float(child[0, 0]) for _ in range(20) for child in train_at(unit, progress)}
        assert draws == {1.0, 10.0, 100.0}


@pytest.mark.parametrize("progress", [-1.0, 0.3])
def test_draws_follow_the_logits(progress):
    # The largest of logits with Gumbel noise is each as often as its softmax says, at any temperature.
    keras.utils.set_random_seed(0)
    unit = Branch(num_children=2000)
    parents = [np.full((1, 1), value, "float32") for value in (0.0, 1.0)]
    unit(parents)
    unit.logits.assign(np.tile(np.log([[0.2, 0.8]]) / SPEED, (2000, 1)))
    assert abs(np.mean(train_at(unit, progress, parents)) - 0.8) < 0.03


def test_children_see_the_mean_while_they_warm_up():
    unit = built()
    unit.logits.assign([[0.0, 0.0, 0.5], [0.0, 2.0, 1.0]])
    for progress in (0.0, 0.09):
        for child in train_at(unit, progress):
            np.testing.assert_allclose(child, np.full((2, 3), 37.0), rtol=1e-6)


def test_children_see_their_likeliest_parent_in_the_end():
    unit = built()
    unit.logits.assign([[0.0, 0.0, 0.5], [0.0, 2.0, 1.0]])
    for progress in (0.5, 1.0):
        first, second = train_at(unit, progress)
        np.testing.assert_array_equal(first, PARENTS[2])
        np.testing.assert_array_equal(second, PARENTS[1])


def gradient_at(unit, progress):
    unit.training_progress.assign(progress)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(child) for child in unit(PARENTS, training=True))
    return np.array(tape.gradient(loss, unit.logits))


def test_the_gradient_is_that_of_a_softmax_whose_temperature_falls():
    # From 4 to 0.25, a sixteenth, over 0.1 to 0.5 of the training: 1 in the middle.
    for progress, temperature in ((-1.0, 4.0), (0.1, 4.0), (0.3, 1.0), (0.4999999, 0.25)):
        unit = built(temperature=4.0, minimum=0.25)
        unit.random.state.assign([1, 2])
        uniform = np.array(keras.random.uniform((2, 3), 1e-6, 1 - 1e-6, seed=unit.random), "float64")
        unit.random.state.assign([1, 2])
        scores = np.exp(-np.log(-np.log(uniform)) / temperature)
        soft = scores / scores.sum(axis=1, keepdims=True)
        values = 6 * np.array([1.0, 10.0, 100.0])
        expected = SPEED / temperature * soft * (values - (soft @ values)[:, None])
        found = gradient_at(unit, progress)
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-3 * np.abs(expected).max())


def test_choices_learn_in_the_search_alone():
    unit = built()
    for progress in (0.0, 0.5, 1.0):
        assert not np.any(gradient_at(unit, progress))
    for progress in (-1.0, 0.1):
        assert np.all(gradient_at(unit, progress))


def test_a_choice_holds_for_every_tensor_of_a_parent():
    unit = Branch(num_children=1)
    parents = [[np.full((1, 2), v, "float32"), np.full((1, 4, 1), v, "float32")] for v in (1.0, 2.0)]
    unit(parents)
    unit.logits.assign([[0.0, 1.0]])
    ((skip, now),) = unit(parents)
    np.testing.assert_array_equal(skip, parents[1][0])
    np.testing.assert_array_equal(now, parents[1][1])
    ((skip, now),) = unit(parents, training=True)
    assert skip[0, 0] == now[0, 0, 0]


def test_compiles_in_training():
    unit = built()
    first, second = tf.function(lambda: unit(PARENTS, training=True), jit_compile=True)()
    assert np.all(np.isfinite([first, second]))


def test_trains_in_half_precision():
    unit = built(dtype="mixed_float16")
    for progress in (-1.0, 0.0, 0.3, 1.0):
        assert {child.dtype for child in train_at(unit, progress)} == {np.dtype("float16")}


def test_saves(tmp_path):
    inputs = [keras.Input((3,)) for _ in PARENTS]
    model = keras.Model(inputs, Branch(2, temperature=3.0)(inputs))
    model.layers[-1].logits.assign([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    model.layers[-1].training_progress.assign(0.25)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.layers[-1].choices().tolist() == [2, 0]
    assert float(copy.layers[-1].training_progress) == 0.25
    assert copy.layers[-1].temperature == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0.1}, r"must not start below a positive `minimum`. Received: temperature=0.1"),
        ({"minimum": 0.0}, "must not start below a positive `minimum`"),
        ({"warm_up": -0.1}, "`warm_up` must be at least 0 and below 1"),
        ({"warm_up": 0.5, "settling": 0.5}, r"leave a part .* Received: warm_up=0.5, settling=0.5"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Branch(2, **arguments)


def test_parents_of_different_shapes():
    with pytest.raises(ValueError, match=r"All parents must have the same shape. Received: "):
        Branch(2)([np.zeros((1, 2)), np.zeros((1, 3))])
