"""What LiteRT and ONNX have in common: one traced function, an error that names what has no equal, a card."""

import pathlib

from mtl_zoo import arguments
from mtl_zoo.exporting import faults, signatures
from mtl_zoo.exporting.files import check_absent, staged, writing
from mtl_zoo.exporting.model_card import card_path, model_card, write_card
from mtl_zoo.exporting.precision import computing_in_float32
from mtl_zoo.exporting.saved_model import resources
from mtl_zoo.files import first_line


def check_path(path, suffix):
    """Raise an error unless a file with a suffix, and its card, can be written at `path`."""
    if pathlib.Path(arguments.path("path", path)).suffix != suffix:
        raise ValueError(f"`path` must end with '{suffix}'. Received: path='{path}'")
    check_absent(path)
    check_absent(card_path(path))


def trace(model, tasks, batch_size=None):
    """Return the function from inputs to all predictions, traced, and the object that owns its variables.

    Layers of half precision compute in float32 there, since the formats lack operations on bfloat16.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`.
        batch_size: Number of examples in a batch. Defaults to `None`: any.

    Returns:
        Tuple of a `tf.function` with one trace and a `tf.Module`.

    Raises:
        ValueError: If a layer cannot be traced.
    """
    part = signatures.submodel(model, tasks)
    function = signatures.on_inputs(part, tasks, _answer)[0].function(batch_size)
    owner = resources(part)
    with faults.naming_layers(), computing_in_float32(part):
        traced = function.get_concrete_function()
    faults.check_graph(traced, part, owner)
    return function, owner


def unconvertible(target, kinds, traced, model, error=None):
    """Return the error for operations that a format lacks.

    Args:
        target: Name of the format.
        kinds: Kinds of operation that have no equal, such as `{"LookupTableFindV2"}`; maybe none is known.
        traced: `tf.types.experimental.ConcreteFunction` that was to be converted.
        model: `keras.Model` whose layers' names are looked for.
        error: What the converter raised, if anything.

    Returns:
        `ValueError`.
    """
    found = {
        f"{kind} in layer {faults.layer_of(name, model)}"
        for name, kind in faults.operations(traced)
        if kind in kinds
    }
    text = "; ".join(sorted(found)) or ", ".join(sorted(kinds)) or first_line(error)
    return ValueError(f"Every operation of the model must be one that {target} has. Received: {text}")


def write(path, content, model, tasks, information, batch_size=None):
    """Write a file and, beside it, its card; both are complete when they appear.

    Args:
        path: File to write; it and its card must not exist.
        content: Bytes.
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `mtl_zoo.Task`.
        information: Dictionary to add to the card.
        batch_size: Number of examples in a batch. Defaults to `None`: any.
    """
    part = signatures.submodel(model, tasks)
    card = model_card(part, tasks, information=information)
    outputs = {name: task["output"] for name, task in card["tasks"].items()}
    sides = {"inputs": card["inputs"], "outputs": outputs}
    card["signatures"] = {signatures.DEFAULT: {x: _sized(sides[x], batch_size) for x in sides}}
    with writing(path), staged(card_path(path)) as card_file, staged(path) as file:
        file.write_bytes(content)
        write_card(file, card)
        card_path(file).rename(card_file)


def _sized(tensors, batch_size):
    """Return tensors, as a card describes them, with the size of their batches."""
    return {name: x | {"shape": [batch_size, *x["shape"][1:]]} for name, x in tensors.items()}


def _answer(task, logits):
    return {task.name: signatures.predictions(task, logits)}
