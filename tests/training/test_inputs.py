import keras
import pytest

import mtl_zoo as mz
from mtl_zoo.training.inputs import matched, slots, unknown

AGE, INCOME = keras.Input((1,), name="age"), keras.Input((1,), name="income")
SUM = keras.layers.Add()([AGE, INCOME])
BY_NAME = slots(keras.Model({"income": INCOME, "age": AGE}, SUM))
IN_ORDER = slots(keras.Model([INCOME, AGE], SUM))
ONE = slots(keras.Model(AGE, AGE + 1.0))


@pytest.mark.parametrize(
    ("wanted", "x", "found"),
    [
        (BY_NAME, {"age": 3, "city": 1, "income": 2}, {"income": 2, "age": 3}),
        (IN_ORDER, {"age": 3, "city": 1, "income": 2}, (2, 3)),
        (IN_ORDER, [2, 3], [2, 3]),
        (ONE, {"age": 3, "city": 1}, 3),
        (ONE, 3, 3),
    ],
)
def test_inputs_are_matched_by_name_or_by_the_models_order(wanted, x, found):
    assert matched(wanted, x) == found


@pytest.mark.parametrize(
    ("wanted", "x", "message"),
    [
        (BY_NAME, {"age": 3}, r"the inputs \['income', 'age'\]. Received: 1 tensors, without \['income'\]"),
        (BY_NAME, [2, 3], r"must be a dict with the keys \['income', 'age'\]. Received: list"),
        (IN_ORDER, [1, 2, 3], r"the inputs \['income', 'age'\]. Received: 3 tensors"),
        (ONE, {"city": 1}, r"the inputs \['age'\]. Received: 0 tensors, without \['age'\]"),
    ],
)
def test_what_does_not_match_is_refused(wanted, x, message):
    with pytest.raises(ValueError, match=message):
        matched(wanted, x)


def test_unknown_inputs():
    assert unknown(IN_ORDER, {"age": 3, "city": 1, "income": 2}) == ["city"]
    assert unknown(IN_ORDER, [2, 3]) == unknown(ONE, 3) == []


def test_a_slot_knows_the_longest_sequence_that_positions_allow():
    encoder = mz.encoders.transformer(10, 8, 1, max_length=5)
    model = mz.architectures.hard_sharing(
        keras.Input((None,), dtype="int32", name="tokens"), [mz.Task.tagging("tag", 3)], encoder
    )
    assert slots(model).max_length == 5
    assert ONE.max_length is None
