"""Errors of an export that say which layer is at fault."""

import contextlib

import keras
import tensorflow as tf

from mtl_zoo.files import first_line

PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")


@contextlib.contextmanager
def naming_layers():
    """Turn whatever happens while layers are traced into one `ValueError` that names the innermost layer."""
    filtering = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    except Exception as error:
        layer = _innermost_layer(error.__traceback__)
        if layer is None:
            raise
        raise _fault(f"'{layer.name}' ({type(layer).__name__})", first_line(error)) from error
    finally:
        if filtering:
            keras.config.enable_traceback_filtering()


def check_graph(function, model, owner):
    """Raise a `ValueError` if a traced function needs this process: Python code, or state nobody owns.

    Args:
        function: `tf.types.experimental.ConcreteFunction`.
        model: `keras.Model` whose layers' names are looked for.
        owner: Trackable object of what will be saved.
    """
    for name, kind in operations(function):
        if kind in PYTHON_OPS:
            raise _fault(layer_of(name, model), f"its operation {kind} is Python code, which is not saved")
    kept = {id(part) for part in _resources_of(owner)}
    for outer, inner in function.graph.captures:
        if outer.dtype == tf.resource and id(outer) not in kept:
            name = next((consumer.name for consumer in inner.consumers()), "")
            reason = "it uses a variable or table that is no attribute of a layer"
            raise _fault(layer_of(name, model), reason)


def operations(function):
    """Return pairs of name and kind of all operations of a traced function, inside functions too."""
    definition = function.graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes.extend(inner.node_def)
    return [(node.name, node.op) for node in nodes]


def layer_of(operation, model):
    """Return the innermost layer in whose name scope an operation is, or the operation, as text."""
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    for part in reversed(operation.split("/")):
        for name in (part, part.rpartition("_")[0]):  # a scope that is entered again gets a number
            if name in layers:
                return f"'{name}' ({type(layers[name]).__name__})"
    return f"with the operation '{operation}'"


def _innermost_layer(traceback):
    found = None
    while traceback:
        layer = traceback.tb_frame.f_locals.get("self")
        if isinstance(layer, keras.layers.Layer) and not isinstance(layer, keras.Model):
            found = layer
        traceback = traceback.tb_next
    return found


def _resources_of(owner):
    for part in tf.train.TrackableView(owner).descendants():
        handle = getattr(part, "resource_handle", getattr(part, "handle", None))
        if handle is not None:
            yield handle


def _fault(layer, reason):
    return ValueError(
        f"Every layer must be one that TensorFlow can export. Received: layer {layer}: {reason}"
    )
