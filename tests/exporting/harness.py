"""What tests of artefacts share."""

import pathlib

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def predictions(model, tasks, inputs):
    """Return what Keras predicts for a dict of arrays by the names of the model's inputs."""
    inputs = keras.tree.map_structure(lambda x: tf.constant(inputs[x.name]), model.input)
    logits = model(inputs, training=False)
    return {task.name: task.activation(keras.ops.cast(logits[task.name], "float32")) for task in tasks}


def operations_of(artefact):
    """Return, by signature of a SavedModel, the names of all operations it reaches, in functions too."""
    text = pathlib.Path(artefact, "saved_model.pb").read_bytes()
    meta_graph = saved_model_pb2.SavedModel.FromString(text).meta_graphs[0]
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    functions = {f.signature.name: f.node_def for f in meta_graph.graph_def.library.function}
    return {
        name: _reached([x.name for x in definition.outputs.values()], nodes, functions)
        for name, definition in meta_graph.signature_def.items()
    }


def _reached(outputs, nodes, functions):
    nodes, functions = dict(nodes), dict(functions)
    reached = []
    while outputs:
        node = nodes.pop(outputs.pop().split(":")[0].lstrip("^"), None)
        if node:
            reached.append(node)
            outputs += node.input
    for node in reached:  # grows with the functions that are called
        for attribute in node.attr.values():
            reached += functions.pop(attribute.func.name, [])
    return {node.name for node in reached}
