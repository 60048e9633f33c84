import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.exporting import signatures
from tests.exporting.harness import predictions
from tests.harness import dtype_policy

TASKS = (mz.Task.classification("kind", 3), mz.Task.binary("flag"))


def answer(task, logits):
    return {task.name: signatures.predictions(task, logits)}


def check_agreement(model, inputs, names):
    """Check that trunk and heads together answer what the whole does, for two batch sizes."""
    found = {signature.name: signature for signature in signatures.on_features(model, TASKS, answer)}
    assert list(found) == ["features", "kind_from_features", "flag_from_features"]
    functions = {name: signature.function() for name, signature in found.items()}
    for size in (1, 3):
        some = {name: array[:size] for name, array in inputs.items()}
        features = functions["features"](*(tf.constant(some[x.name]) for x in model.inputs))
        assert set(features) == set(names)
        for task, expected in predictions(model, TASKS, some).items():
            head = found[f"{task}_from_features"]
            given = [features[spec.name] for spec in head.specs]
            np.testing.assert_allclose(functions[head.name](*given)[task], expected, atol=1e-6)
    return found


def test_features_of_vectors_are_the_trunk_alone():
    model = mz.architectures.hard_sharing(keras.Input((5,), name="x"), TASKS, mz.encoders.mlp(4))
    found = check_agreement(model, {"x": np.random.normal(size=(3, 5)).astype("float32")}, ["features"])
    operations = found["features"].function().get_concrete_function().graph.get_operations()
    assert not any("kind" in x.name or "flag" in x.name for x in operations)
    head = found["kind_from_features"].function().get_concrete_function()
    assert not any("shared" in x.name or "flag" in x.name for x in head.graph.get_operations())


def test_masks_are_features_too():
    encoder = mz.encoders.transformer(9, width=4, depth=1, num_heads=2)
    model = mz.architectures.hard_sharing(keras.Input((4,), dtype="int32", name="words"), TASKS, encoder)
    words = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [5, 6, 7, 8]], "int32")
    check_agreement(model, {"words": words}, ["features", "features_mask"])


def test_a_task_of_the_features_themselves():
    x = keras.Input((3,), name="x")
    shared = keras.layers.Dense(3)(x)
    model = keras.Model(x, {"kind": shared, "flag": keras.layers.Dense(1)(shared)})
    check_agreement(model, {"x": np.random.normal(size=(3, 3)).astype("float32")}, ["features"])


def shortcut(x, shared):
    return keras.layers.Concatenate()([shared, x])


def untouched(x, shared):
    return x


def second(x, shared):
    return keras.layers.Concatenate()([shared, keras.layers.Dense(2, name="second")(x)])


@pytest.mark.parametrize("join", [shortcut, untouched, second])
def test_no_features_where_a_task_needs_more(join):
    x = keras.Input((5,), name="x")
    shared = keras.layers.Dense(4)(x)
    outputs = {"kind": keras.layers.Dense(3)(join(x, shared)), "flag": keras.layers.Dense(1)(shared)}
    outputs["other"] = keras.layers.Dense(1)(shared)
    tasks = (*TASKS, mz.Task.binary("other"))
    assert signatures.on_features(keras.Model(x, outputs), tasks, answer) == []


@pytest.mark.parametrize("architecture", ["single_task", "mmoe", "cross_stitch"])
def test_no_features_where_several_tensors_are_shared(architecture):
    build = getattr(mz.architectures, architecture)
    model = build(keras.Input((5,), name="x"), TASKS, mz.encoders.mlp(4, 4))
    assert signatures.on_features(model, TASKS, answer) == []


def test_a_batch_size_may_be_fixed():
    model = mz.architectures.hard_sharing(keras.Input((5,), name="x"), TASKS, mz.encoders.mlp(4))
    first = signatures.on_inputs(model, TASKS, answer)[0]
    assert first.function().input_signature == (tf.TensorSpec((None, 5), name="x"),)
    assert first.function(8).input_signature == (tf.TensorSpec((8, 5), name="x"),)


def test_features_of_half_precision_are_sent_as_float32():
    encoder = mz.encoders.mlp(4)
    with dtype_policy("mixed_bfloat16"):
        model = mz.architectures.hard_sharing(keras.Input((5,), name="x"), TASKS, encoder)
    found = check_agreement(model, {"x": np.random.normal(size=(3, 5)).astype("float32")}, ["features"])
    assert found["features"].function()(tf.zeros((1, 5)))["features"].dtype == tf.float32
