import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo import exporting
from mtl_zoo.exporting.precision import computing_in_bfloat16

TASKS = (mz.Task.classification("kind", 3), mz.Task.regression("size"))


def transformer():
    encoder = mz.encoders.transformer(9, width=8, depth=1, num_heads=2)
    return mz.architectures.hard_sharing(keras.Input((4,), dtype="int32", name="words"), TASKS, encoder)


def products(artefact, signature):
    """Return the types of all matrix products of a signature."""
    function = tf.saved_model.load(str(artefact)).signatures[signature]
    definition = function.graph.as_graph_def()
    nodes = [node for inner in definition.library.function for node in inner.node_def]
    return [node.attr["T"].type for node in nodes if node.op in ("MatMul", "BatchMatMulV2", "Einsum")]


def test_layers_compute_in_bfloat16_and_answer_in_float32(tmp_path):
    model = transformer()
    words = tf.constant([[1, 2, 3, 0], [4, 5, 6, 7]])
    before = [layer.dtype_policy for layer in model._flatten_layers()]
    exporting.saved_model(model, TASKS, tmp_path / "1")
    exporting.saved_model(model, TASKS, tmp_path / "2", bfloat16=True)
    assert [layer.dtype_policy for layer in model._flatten_layers()] == before
    assert set(products(tmp_path / "1", "kind")) == {tf.float32.as_datatype_enum}
    *inner, head = products(tmp_path / "2", "kind")
    assert len(inner) > 4
    assert {*inner} == {tf.bfloat16.as_datatype_enum}
    assert head == tf.float32.as_datatype_enum
    loaded = [tf.saved_model.load(str(tmp_path / name)) for name in "12"]
    assert {variable.dtype for variable in loaded[1].variables_of_model} <= {tf.float32, tf.uint32, tf.int64}
    exact, rough = (x.signatures["serving_default"](words=words) for x in loaded)
    for name in exact:
        assert rough[name].dtype == tf.float32
        assert not np.array_equal(rough[name], exact[name])
        np.testing.assert_allclose(rough[name], exact[name], atol=0.05)


def test_what_is_not_wanted_changes_nothing():
    model = transformer()
    before = [layer.dtype_policy for layer in model._flatten_layers()]
    with computing_in_bfloat16(model, wanted=False):
        assert [layer.dtype_policy for layer in model._flatten_layers()] == before
