import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting import faults
from mtl_zoo.task import Task

TASKS = [Task.regression("size")]


class Layer(keras.layers.Layer):
    """Keeps the shape of what it computes."""

    def compute_output_shape(self, shape):
        return shape


class InNumPy(Layer):
    """Needs values where there is only a graph."""

    def call(self, x):
        return x * np.mean(np.asarray(x))


class InPython(Layer):
    """Calls this process from the graph."""

    def call(self, x):
        return tf.ensure_shape(tf.py_function(lambda y: 2 * y, [x], x.dtype), (None, 4))


class OfNobody(Layer):
    """Uses a table that is not an attribute, so that nothing keeps it."""

    def call(self, x):
        with tf.init_scope():
            entries = tf.lookup.KeyValueTensorInitializer(tf.constant([0], tf.int64), tf.constant([3.0]))
            tables.append(tf.lookup.StaticHashTable(entries, 0.0))
        return x + tables[-1].lookup(tf.zeros((), tf.int64))


tables = []


class Wrapper(Layer):
    """Has the layer that is at fault inside."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


def model_of(layer):
    inputs = keras.Input((4,), name="x")
    x = layer(keras.layers.Dense(4, name="before")(inputs))
    return keras.Model(inputs, {"size": keras.layers.Dense(1, name="after")(x)})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (InNumPy(name="culprit"), r"'culprit' \(InNumPy\): .*NumPy"),
        (InPython(name="culprit"), r"'culprit' \(InPython\): its operation EagerPyFunc is Python code"),
        (OfNobody(name="culprit"), r"'culprit' \(OfNobody\): it uses a variable or table that is no attr"),
        (Wrapper(InNumPy(name="culprit"), name="wrapper"), r"'culprit' \(InNumPy\)"),
    ],
)
def test_one_error_names_the_layer_and_leaves_nothing(tmp_path, layer, message):
    with pytest.raises(ValueError, match=r"one that TensorFlow can export\. Received: layer " + message):
        exporting.saved_model(model_of(layer), TASKS, tmp_path / "deep" / "1")
    assert not any(tmp_path.iterdir())


def test_errors_outside_layers_stay_what_they_are():
    assert keras.config.is_traceback_filtering_enabled()
    with pytest.raises(KeyError, match="mine"), faults.naming_layers():
        raise KeyError("mine")
    assert keras.config.is_traceback_filtering_enabled()


def test_layer_of_an_operation():
    model = model_of(keras.layers.Dense(4, name="dense"))
    assert faults.layer_of("functional_1/before_1/MatMul", model) == "'before' (Dense)"
    assert faults.layer_of("functional_1/dense/Add", model) == "'dense' (Dense)"
    assert faults.layer_of("while/body", model) == "with the operation 'while/body'"
