import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Branch

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


def test_a_child_sees_a_mixture_in_training():
    keras.utils.set_random_seed(0)
    unit = built()
    draws = {float(child[0, 0]) for _ in range(5) for child in unit(PARENTS, training=True)}
    assert len(draws) == 10
    assert all(1.0 < draw < 100.0 for draw in draws)


def test_draws_follow_the_logits():
    # At a low temperature a draw is nearly one parent, each as often as its softmax says (Gumbel-max).
    keras.utils.set_random_seed(0)
    unit = Branch(num_children=2000, temperature=0.01, minimum=0.01)
    parents = [np.full((1, 1), value, "float32") for value in (0.0, 1.0)]
    unit(parents)
    unit.logits.assign(np.tile(np.log([[0.2, 0.8]]), (2000, 1)))
    children = np.array(unit(parents, training=True))
    assert abs(children.mean() - 0.8) < 0.03
    assert np.mean((children > 0.05) & (children < 0.95)) < 0.05


def test_the_temperature_falls_with_the_steps_of_training():
    unit = built(temperature=4.0, minimum=0.5, decay=1.0)
    for expected in (1, 2, 3):
        unit(PARENTS, training=True)
        assert float(unit.steps) == expected
    unit(PARENTS)
    assert float(unit.steps) == 3
    spreads = []
    for steps in (0.0, 100.0):
        keras.utils.set_random_seed(0)
        cold = built(temperature=4.0, minimum=0.01, decay=1.0)
        cold.steps.assign(steps)
        spreads.append(float(np.std([child[0, 0] for child in cold(PARENTS, training=True)])))
    assert spreads[0] < spreads[1]


def test_every_logit_has_a_gradient():
    unit = built()
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(child) for child in unit(PARENTS, training=True))
    assert np.all(tape.gradient(loss, unit.logits))


def test_a_choice_holds_for_every_tensor_of_a_parent():
    unit = Branch(num_children=1)
    parents = [[np.full((1, 2), v, "float32"), np.full((1, 4, 1), v, "float32")] for v in (1.0, 2.0)]
    unit(parents)
    unit.logits.assign([[0.0, 1.0]])
    ((skip, now),) = unit(parents)
    np.testing.assert_array_equal(skip, parents[1][0])
    np.testing.assert_array_equal(now, parents[1][1])
    ((skip, now),) = unit(parents, training=True)
    np.testing.assert_allclose(skip[0, 0], now[0, 0, 0], rtol=1e-6)


def test_compiles_in_training():
    unit = built()
    first, second = tf.function(lambda: unit(PARENTS, training=True), jit_compile=True)()
    assert np.all(np.isfinite([first, second]))
    assert float(unit.steps) == 1


def test_saves(tmp_path):
    inputs = [keras.Input((3,)) for _ in PARENTS]
    model = keras.Model(inputs, Branch(2, temperature=3.0)(inputs))
    model.layers[-1].logits.assign([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    model(PARENTS, training=True)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert copy.layers[-1].choices().tolist() == [2, 0]
    assert float(copy.layers[-1].steps) == 1
    assert copy.layers[-1].temperature == 3.0


@pytest.mark.parametrize(
    "arguments", [{"temperature": 0.1}, {"minimum": 0.0}, {"minimum": -1.0}, {"decay": -0.1}]
)
def test_errors(arguments):
    with pytest.raises(ValueError, match=r"The temperature must not start below a positive `minimum`"):
        Branch(2, **arguments)


def test_parents_of_different_shapes():
    with pytest.raises(ValueError, match=r"All parents must have the same shape. Received: "):
        Branch(2)([np.zeros((1, 2)), np.zeros((1, 3))])
