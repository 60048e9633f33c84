import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting.inputs import check_input_names
from mtl_zoo.task import Task

TASKS = [Task.regression("first"), Task.regression("second")]
ARRAYS = {"1st": np.array([[1.0], [2.0]], "float32"), "User-Id": np.array([[3.0], [5.0]], "float32")}


def model_of(inputs):
    """Answer with the inputs themselves."""
    first, second = keras.tree.flatten(inputs)
    outputs = {"first": keras.layers.Identity()(first), "second": keras.layers.Rescaling(2.0)(second)}
    return keras.Model(inputs, outputs)


def list_model(*names):
    return model_of([keras.Input((1,), name=name) for name in names])


def test_names_are_kept_in_all_places(tmp_path):
    """Python has other names for both: TensorFlow calls them `arg_1st` and `User_Id`."""
    model, path = list_model(*ARRAYS), tmp_path / "1"
    exporting.saved_model(model, TASKS, path, warmup=ARRAYS, example=True)
    inputs = "1st float32 [None, 1], User-Id float32 [None, 1]"
    assert f"first: {inputs} -> first float32 [None, 1]" in exporting.describe(path)
    assert list(exporting.read_card(path)["signatures"]["first"]["inputs"]) == sorted(ARRAYS)
    replayed = dict(exporting.replay_warmup(path))
    for signature in ("serving_default", "second", "example"):
        np.testing.assert_array_equal(replayed[signature]["second"], 2 * ARRAYS["User-Id"])
    answer = tf.saved_model.load(str(path)).signatures["first"](**ARRAYS)
    np.testing.assert_array_equal(answer["first"], ARRAYS["1st"])
    labels = {task.name: np.zeros((2, 1), "float32") for task in TASKS}
    agreements = exporting.verify(path, model, TASKS, [(list(ARRAYS.values()), labels)])
    assert [agreement.difference for agreement in agreements] == [0.0, 0.0]


@pytest.mark.parametrize(
    "names", [("a b", "x"), ("_a", "x"), ("größe", "x"), ("a-b", "a_b"), ("A", "a"), ("self", "x")]
)
def test_names_that_no_signature_can_have(tmp_path, names):
    with pytest.raises(ValueError, match=r"Inputs must have names of .*\. Received: \['"):
        exporting.saved_model(list_model(*names), TASKS, tmp_path / "1")
    assert not any(tmp_path.iterdir())


def test_usual_names_are_fine():
    check_input_names(list_model("x", "keras_tensor_5"))
    check_input_names(list_model("marital-status", "class"))


@pytest.mark.parametrize(
    ("model", "batch", "expected"),
    [
        (list_model("z", "a"), [1, 2], {"z": 1, "a": 2}),
        (list_model("z", "a"), {"a": 2, "more": 3, "z": 1}, {"z": 1, "a": 2}),
        (model_of({x: keras.Input((1,), name=x) for x in "za"}), {"z": 1, "m": 3, "a": 2}, {"z": 1, "a": 2}),
    ],
)
def test_a_batch_by_the_names_of_inputs(model, batch, expected):
    assert exporting.by_name(model, batch) == expected


def test_a_list_for_inputs_by_name_is_read_as_keras_reads_it():
    in_order = model_of({name: keras.Input((1,), name=name) for name in "az"})
    batch = list(ARRAYS.values())
    with pytest.warns(UserWarning, match="structure of `inputs` doesn't match"):
        predicted = in_order.predict(batch, verbose=0)
    np.testing.assert_array_equal(exporting.by_name(in_order, batch)["a"], predicted["first"])
    out_of_order = model_of({name: keras.Input((1,), name=name) for name in "za"})
    with pytest.raises(ValueError, match="structure of `inputs` doesn't match"):
        out_of_order.predict(batch, verbose=0)
    with pytest.raises(ValueError, match=r"must be a dict with the keys \['z', 'a'\]. Received: list"):
        exporting.by_name(out_of_order, batch)


@pytest.mark.parametrize("batch", [[1], {"z": 1}, {"z": 1, "A": 2}, [1, 2, 3]])
def test_a_batch_of_other_inputs(batch):
    with pytest.raises(ValueError, match=r"must hold the inputs \['z', 'a'\]\. Received: [13] tensors"):
        exporting.by_name(list_model("z", "a"), batch)
