"""What both optimizers of rows promise."""

import keras
import numpy as np
import tensorflow as tf

import mtl_zoo as mz

ROWS, WIDTH = 101, 2  # a prime that nothing else has
STEPS = 4


def slices(indices, values, rows=ROWS):
    """Return a gradient of rows, of which there may be several slices."""
    values = tf.convert_to_tensor(values, "float32")
    return tf.IndexedSlices(
        values, tf.constant(indices, "int64"), tf.constant([rows, values.shape[1]], "int64")
    )


def gradients(every_row=False):
    """Return gradients of some steps: rows 2 and 5 come twice in each, others now and then, most never."""
    random = np.random.default_rng(0)
    always = list(range(ROWS)) if every_row else [5, 2]
    indices = [[2, 5, *random.integers(0, 9, 2), *always] for _ in range(STEPS)]
    return [slices(found, random.normal(size=(len(found), WIDTH))) for found in indices]


def table():
    return np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype("float32")


def moved(optimizer, steps, dense=False, constraint=None):
    """Return a table, and the state of the optimizer, after steps on it and on a dense variable."""
    rows, bias = keras.Variable(table()), keras.Variable(np.ones(3, "float32"))
    rows.constraint = constraint
    for gradient in steps:
        gradient = tf.convert_to_tensor(gradient) if dense else gradient
        optimizer.apply([gradient, tf.constant([1.0, -2.0, 0.5])], [rows, bias])
    return [np.array(v) for v in (rows, bias, *optimizer.variables)]


def assert_close(found, wanted, rtol=1e-5, atol=1e-6):
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def small_model(layer=mz.layers.Embedding, rows=ROWS):
    keras.utils.set_random_seed(0)
    x = keras.Input((2,), dtype="int64")
    features = keras.layers.Flatten()(layer(rows, WIDTH, name="table")(x))
    return keras.Model(x, keras.layers.Dense(1)(features))


def step_of(model):
    """Return the concrete function of a step of `keras.Model.fit`."""
    model.optimizer.build(model.trainable_variables)
    ids, labels = tf.constant([[1, 2], [3, 2]], "int64"), tf.ones((2, 1))
    step = tf.function(lambda x, y: model.train_step((x, y)))
    return step.get_concrete_function(ids, labels)


def first_sizes(function):
    """Return the first sizes of all tensors in a graph, within branches too."""
    graphs = [function.graph, *(f.graph for f in function.graph._functions.values() if hasattr(f, "graph"))]
    outputs = [out for graph in graphs for op in graph.get_operations() for out in op.outputs]
    return {out.shape[0] for out in outputs if out.shape.rank}
