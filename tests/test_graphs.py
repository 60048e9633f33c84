import keras
import numpy as np
import pytest
from keras import layers

import mtl_zoo as mz
from mtl_zoo.graphs import call_of, made_of, part, taken

TOKENS = np.array([[1, 2, 3, 0], [4, 5, 0, 0]])
TAGS = (mz.Task.tagging("coarse", 3), mz.Task.tagging("fine", 2))
KINDS = (mz.Task.classification("coarse", 3), mz.Task.binary("fine"))


def from_a_file(architecture, tasks, folder):
    """Return a model on tokens, built here and loaded as a new process does, which counts names anew."""
    encoder = mz.encoders.transformer(9, width=4, depth=1, num_heads=2)
    model = architecture(keras.Input((4,), dtype="int32"), tasks, encoder)
    model.save(folder / "model.keras")
    keras.backend.clear_session()
    return model, keras.models.load_model(folder / "model.keras")


@pytest.mark.parametrize("name", ["hard_sharing", "mmoe", "mtan"])
def test_a_model_of_masks_from_a_file_is_measured_as_before(name, tmp_path):
    labels = {"coarse": TOKENS % 3, "fine": TOKENS % 2}
    results = []
    for model in from_a_file(getattr(mz.architectures, name), TAGS, tmp_path):
        trainer = mz.Trainer(model, TAGS)
        trainer.compile("sgd", run_eagerly=True)
        results.append(trainer.evaluate(TOKENS, labels, verbose=0, return_dict=True))
    assert results[1] == pytest.approx(results[0])


@pytest.mark.parametrize("name", ["hard_sharing", "mmoe", "mtan"])
def test_a_task_is_added_to_a_model_of_masks_from_a_file(name, tmp_path):
    _, model = from_a_file(getattr(mz.architectures, name), KINDS, tmp_path)
    grown = mz.transfer.add_task(model, mz.Task.binary("new"))
    for task in KINDS:
        np.testing.assert_array_equal(grown(TOKENS)[task.name], model(TOKENS)[task.name])
    grown.save(tmp_path / "grown.keras")
    again = keras.models.load_model(tmp_path / "grown.keras")(TOKENS)
    np.testing.assert_allclose(again["new"], grown(TOKENS)["new"], rtol=1e-5)


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
