import keras
import numpy as np
from keras import layers

from mtl_zoo.graphs import call_of, made_of, part, taken


def test_a_layer_that_made_an_input_is_called_within():
    again, x = layers.Dense(2, name="again"), keras.Input((2,), name="x")
    first = again(x)
    second = layers.Add(name="add")([again(first), x])
    assert call_of(first) is again._inbound_nodes[0]
    assert call_of(second).operation.name == "add"
    model = part([[first], x], {"out": second})
    data = np.eye(2, dtype="float32")
    np.testing.assert_allclose(model([[2 * data], data])["out"], again(2 * data) + data, rtol=1e-6)
    assert model.inputs[1] is x
    assert model.trainable_variables == again.trainable_variables


def test_what_tensors_are_made_of_comes_in_order_and_once():
    x = keras.Input((2,), name="x")
    left, right = layers.Dense(2, name="left")(x), layers.Dense(2, name="right")(x)
    end = layers.Add(name="end")([left, right])
    found = made_of([end, left])
    assert sorted(call_of(tensor).operation.name for tensor in found) == ["end", "left", "right", "x"]
    assert found[0] is x
    assert found[-1] is end
    chosen = made_of([end], lambda tensor: taken(tensor)[:1])
    assert [call_of(tensor).operation.name for tensor in chosen] == ["x", "left", "end"]
