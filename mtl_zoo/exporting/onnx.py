"""ONNX, for ONNX Runtime and what else reads it."""

import contextlib
import logging

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.exporting._conversion import check_path, trace, unconvertible, write
from mtl_zoo.extras import check_installed
from mtl_zoo.validation import check_tasks


def onnx(model, tasks, path, information=None):
    """Write an ONNX file that turns inputs into predictions.

    Inputs carry the names of the model's `keras.Input`s, outputs those of the tasks. Predictions are
    activated logits (probabilities, for instance) in float32, and the batch size is free.

    The file appears at `path` when it is complete, then its card, `{path}.model_card.json`; an export that
    fails leaves nothing there.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`. Outputs of the model that no task names are left out.
        path: File to write, `*.onnx`; it must not exist.
        information: Dictionary to add to the model card, for instance `dataset`. Defaults to nothing.

    Raises:
        FileExistsError: If `path` or its card exists.
        ImportError: If tf2onnx is not installed, which the extra `export` of this package asks for.
        ValueError: If `path` has another suffix, tasks and outputs of the model do not agree, an input has
            the name of a task, or ONNX lacks an operation of the model.

    Example:
    ```python
    mz.exporting.onnx(model, tasks, "digits.onnx")
    session = onnxruntime.InferenceSession("digits.onnx")
    (probabilities,) = session.run(["left"], {"image": images})
    ```
    """
    check_installed("tf2onnx", "Export to ONNX needs", "export")
    model = check_tasks(model, tasks, graph=True)
    _check_names(model, tasks)
    check_path(path, ".onnx")
    arguments.mapping("information", information)
    function, owner = trace(model, tasks)
    proto = _convert(function, owner, model)
    _store_constants(proto.graph, function.get_concrete_function())
    write(path, proto.SerializeToString(), model, tasks, information)


def _check_names(model, tasks):
    both = sorted({x.name for x in model.inputs} & {task.name for task in tasks})
    if both:
        raise ValueError(f"No task may have the name of an input in ONNX. Received: {', '.join(both)}")


def _convert(function, owner, model):
    """Return the ONNX model of a traced function."""
    import tf2onnx

    traced = function.get_concrete_function()
    handlers = {
        "Erfc": _erfc,
        "LookupTableFindV2": _lookup(traced, owner),
        "RFFT": lambda *_: None,  # converted with its parts, and nobody's input then
        "Real": _part_of_fourier_transform(np.cos),
        "Imag": _part_of_fourier_transform(lambda angle: -np.sin(angle)),
    }
    handlers = {kind: (convert, []) for kind, convert in handlers.items()}
    try:
        with _silenced("tf2onnx"), _silenced("tensorflow"):  # they log what they lack, one by one
            specs = list(function.input_signature)
            proto, _ = tf2onnx.convert.from_function(function, specs, custom_op_handlers=handlers)
    except Exception as error:  # of many classes
        raise unconvertible("ONNX", set(), traced, model, error) from error
    missing = _missing_kinds(proto)
    if missing:
        raise unconvertible("ONNX", missing, traced, model)
    return proto


def _missing_kinds(proto):
    """Return the kinds of operation that are left as they were in TensorFlow."""
    from onnx import defs

    versions = {x.domain: x.version for x in proto.opset_import}
    nodes = list(_nodes(proto.graph))
    return {x.op_type for x in nodes if not defs.has(x.op_type, versions.get(x.domain, 1), x.domain)}


def _nodes(graph):
    """Yield all nodes, inside loops and branches too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _store_constants(graph, traced):
    """Turn what the function captured, such as a normalization's moments, from inputs into constants."""
    from onnx import numpy_helper

    captured = {inner.name: outer for outer, inner in traced.graph.captures}
    used = {name for node in _nodes(graph) for name in node.input}
    for x in [x for x in graph.input if x.name in captured]:
        graph.input.remove(x)
        if x.name in used:
            graph.initializer.append(numpy_helper.from_array(captured[x.name].numpy(), x.name))


@contextlib.contextmanager
def _silenced(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _erfc(context, node, name, _):
    """Convert the complement of the error function, which `keras.activations.gelu` has."""
    one = context.make_const(f"{name}_one", np.ones((), "float32")).output[0]
    erf = context.make_node("Erf", node.input).output[0]
    _replace(context, node, "Sub", [one, erf])


def _lookup(traced, owner):
    """Return the conversion of table lookups; ONNX keeps a table's keys and values with the operation."""
    captured = {inner.name: outer for outer, inner in traced.graph.captures}
    tables = [part for part in owner.others_of_model if isinstance(part, tf.lookup.StaticHashTable)]
    contents = {id(table.resource_handle): [x.numpy() for x in table.export()] for table in tables}

    def convert(context, node, name, _):
        table, keys, default = node.input
        known, values = contents[id(captured[table])]
        attributes = {
            f"keys_{_kind(known)}": known.tolist(),
            f"values_{_kind(values)}": values.tolist(),
            f"default_{_kind(values)[:-1]}": captured[default].numpy().item(),
        }
        _replace(context, node, "LabelEncoder", [keys], attributes, "ai.onnx.ml")

    return convert


def _part_of_fourier_transform(wave):
    """Return the conversion of the real or imaginary part of `RFFT`, as a product with a matrix."""

    def convert(context, node, name, _):
        transform = node.inputs[0]
        if transform.type != "RFFT":
            raise NotImplementedError(f"{node.type} of {transform.type}")
        x, length = transform.input[0], int(transform.inputs[1].get_tensor_value(as_list=False).item())
        if context.get_shape(x)[-1] != length:
            raise NotImplementedError("RFFT of a signal of another length")
        angles = 2 * np.pi / length * np.outer(np.arange(length), np.arange(length // 2 + 1))
        matrix = context.make_const(f"{name}_matrix", wave(angles).astype("float32")).output[0]
        _replace(context, node, "MatMul", [x, matrix])

    return convert


def _kind(array):
    """Return the name that ONNX has for values of a table."""
    return "strings" if array.dtype == object else "int64s"


def _replace(context, node, kind, inputs, attributes=None, domain=""):
    shapes, dtypes = node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node(
        kind,
        inputs,
        attributes,
        outputs=node.output,
        name=node.name,
        shapes=shapes,
        dtypes=dtypes,
        domain=domain,
    )
