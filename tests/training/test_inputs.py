import keras
import pytest

from mtl_zoo.layers import PositionEmbedding
from mtl_zoo.training.inputs import Slot, matched, slots, unknown


def model(names, structure=list):
    """Return a model of one number per name, with its inputs in a list or a dict."""
    inputs = {name: keras.Input((1,), name=name) for name in names}
    total = keras.layers.Add()(list(inputs.values())) if len(names) > 1 else inputs[names[0]]
    if structure is list:
        inputs = list(inputs.values()) if len(names) > 1 else inputs[names[0]]
    return keras.Model(inputs, keras.layers.Dense(1)(total))


def test_slots_have_the_structure_of_the_model():
    assert slots(model(["a"])) == Slot("a")
    assert slots(model(["b", "a"])) == [Slot("b"), Slot("a")]
    assert slots(model(["b", "a"], dict)) == {"b": Slot("b"), "a": Slot("a")}


def test_slots_know_the_longest_sequence():
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.layers.Dropout(0.1)(keras.layers.Embedding(10, 4)(words))
    x = PositionEmbedding(16, name="places")(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    assert slots(keras.Model(words, x)) == Slot("words", 16, "places")


def test_inputs_by_name_are_put_where_the_model_takes_them():
    data = {"a": 1, "b": 2, "c": 3}
    assert matched(slots(model(["a"])), data) == 1
    assert matched(slots(model(["b", "a"])), data) == (2, 1)
    assert matched(slots(model(["b", "a"], dict)), data) == {"b": 2, "a": 1}
    assert unknown(slots(model(["b", "a"], dict)), data) == ["c"]


def test_inputs_without_names_stay_as_they_are():
    assert matched(slots(model(["a"])), 1) == 1
    assert matched(slots(model(["b", "a"])), [1, 2]) == [1, 2]
    assert matched(slots(model(["a", "b"], dict)), [1, 2]) == [1, 2]  # Keras sorts the keys
    assert unknown(slots(model(["a"])), 1) == []


@pytest.mark.parametrize(
    ("structure", "x", "message"),
    [
        (list, {"b": 1}, r"must hold the inputs \['b', 'a'\]. Received: 1 tensors, without \['a'\]"),
        (list, [1, 2, 3], r"must hold the inputs \['b', 'a'\]. Received: 3 tensors"),
        (list, 1, r"must hold the inputs \['b', 'a'\]. Received: 1 tensors"),
        (dict, [1, 2], r"must be a dict with the keys \['b', 'a'\]. Received: list"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(structure, x, message):
    with pytest.raises(ValueError, match=message):
        matched(slots(model(["b", "a"], structure)), x)
