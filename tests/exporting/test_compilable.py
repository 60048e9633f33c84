import keras
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.task import Task

VOCABULARY = keras.layers.StringLookup(vocabulary=["a"], output_mode="multi_hot", name="culprit")
TASKS = [Task.regression("size")]


def model_of(layer, **types):
    inputs = keras.Input((4,), name="x", **types)
    return keras.Model(inputs, {"size": keras.layers.Dense(1, name="head")(layer(inputs))})


class Root(keras.layers.Layer):
    """Takes the square root of a matrix, for which XLA has no kernel."""

    def call(self, x):
        return tf.reduce_sum(tf.linalg.sqrtm(x[:, None] * x[:, :, None]), axis=-1)

    def compute_output_shape(self, shape):
        return shape


class Printing(keras.layers.Layer):
    """Writes to the host's terminal."""

    def call(self, x):
        with tf.control_dependencies([tf.print("x", tf.reduce_sum(x))]):
            return tf.identity(x)

    def compute_output_shape(self, shape):
        return shape


def function_of(model, batch_size=2):
    spec = tf.TensorSpec((batch_size, *model.inputs[0].shape[1:]), model.inputs[0].dtype, "x")
    return tf.function(lambda x: {"size": model(x)["size"]}, input_signature=[spec], autograph=False)


def test_the_compiled_program_is_returned():
    model = model_of(keras.layers.Dense(3, name="trunk"))
    hlo = exporting.check_compilable("size", function_of(model), model)
    assert hlo.startswith("HloModule")
    assert "f32[2,4]" in hlo
    assert hlo.count(" dot(") == 2


@pytest.mark.parametrize(
    ("layer", "types", "kind"),
    [
        (Root(name="culprit"), {}, "MatrixSquareRoot"),
        (Printing(name="culprit"), {}, "StringFormat"),
        (VOCABULARY, {"dtype": "string"}, "LookupTableFindV2"),
    ],
)
def test_the_error_names_operation_signature_and_layer(tmp_path, layer, types, kind):
    model = model_of(layer, **types)
    with pytest.raises(ValueError, match=rf"signature 'serving_default_batch_8'.* {kind}.* layer 'culprit'"):
        exporting.saved_model(model, TASKS, tmp_path / "1", device="tpu", batch_sizes=[8])
    assert not any(tmp_path.iterdir())


def test_calls_of_the_host_are_found_in_the_program(monkeypatch):
    model = model_of(keras.layers.Dense(3, name="trunk"))
    line = (
        '  %call.3 = f32[2,3] custom-call(%x), custom_call_target="host", '
        'metadata={op_type="Cholesky" op_name="functional_1/trunk/Cholesky"}'
    )
    monkeypatch.setattr(exporting.compilable, "_hlo", lambda function: f"HloModule x\n{line}\n")
    message = "signature 'size' with the operation host in layer 'trunk'"
    with pytest.raises(ValueError, match=message):
        exporting.check_compilable("size", function_of(model), model)
