import keras
import numpy as np
import pytest
from keras import layers

from mtl_zoo.transfer import trunk
from mtl_zoo.transfer.joining import join
from tests.transfer.networks import network


def joined(base, *models):
    return join(*trunk.find(base, models))


def test_one_trunk_and_all_heads_with_their_weights():
    left, right = network(left=2, other=1), network(right=3)
    model = joined(network(), left, right)
    assert {name: x.shape for name, x in model.output.items()} == {
        "left": (None, 2),
        "other": (None, 1),
        "right": (None, 3),
    }
    trunk_size = network().count_params()
    assert model.count_params() == left.count_params() + right.count_params() - trunk_size
    for name, own in (("left_logits", left), ("other_logits", left), ("right_logits", right)):
        for x, y in zip(model.get_layer(name).get_weights(), own.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(x, y)
    assert model.input.name == "image"


def test_heads_of_the_same_name_are_told_apart():
    def chain(task, units):
        inputs = keras.Input((4,))
        x = layers.Dropout(0.5)(layers.Dense(3, name="a")(inputs))
        outputs = layers.Softmax(name="top")(layers.Dense(units, name="last")(x))
        return keras.Model(inputs, {task: outputs})

    left, right = chain("left", 2), chain("right", 5)
    model = joined(chain("any", 4), left, right)
    assert {"last", "right_last", "top", "right_top"} < {layer.name for layer in model.layers}
    model.get_layer("a").set_weights(right.get_layer("a").get_weights())
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(model(x)["right"], right(x)["right"], rtol=1e-6)


def test_originals_stay_as_they_are():
    base, left = network(), network(left=2)
    before = [len(layer._inbound_nodes) for model in (base, left) for layer in model.layers]
    model = joined(base, left)
    assert [len(layer._inbound_nodes) for own in (base, left) for layer in own.layers] == before
    assert not {id(x) for x in model.variables} & {id(x) for own in (base, left) for x in own.variables}


def test_a_trunk_layer_that_a_head_calls_again_is_the_trunks():
    def twice(task):
        inputs = keras.Input((4,))
        shared = layers.Dense(4, name="a")
        x = shared(shared(inputs)) if task == "left" else shared(inputs)
        return keras.Model(inputs, {task: layers.Dense(1, name=f"{task}_logits")(x)})

    model = joined(
        keras.Model((x := keras.Input((4,))), layers.Dense(4, name="a")(x)), *map(twice, ("left", "r"))
    )
    assert [layer.name for layer in model.layers if layer.weights] == ["a", "left_logits", "r_logits"]


def test_names_of_outputs():
    def chain(name):
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.Dense(2, name=name)(layers.Dense(3, name="a")(inputs)))

    assert list(joined(chain("any"), chain("left"), chain("right")).output) == ["left", "right"]
    with pytest.raises(
        ValueError, match=r"must have a name of its own: .* Received outputs \['left', 'left'\]"
    ):
        joined(chain("any"), chain("left"), chain("left"))
