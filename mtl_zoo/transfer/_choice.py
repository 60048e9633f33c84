"""Which layers of a graph can have adapters, and which of them are chosen, by their names."""

import re

import keras

from mtl_zoo.encoders import _pieces
from mtl_zoo.transfer._factors import factors_of
from mtl_zoo.transfer.adapted import within
from mtl_zoo.transfer.low_rank import LowRank


def places(graph):
    """Return what can have adapters: lists of paths by operation.

    The path of a layer is its name; that of a layer within another one has the outer names before it, with
    `/` between them.

    Args:
        graph: Functional `keras.Model` without inner models.

    Raises:
        ValueError: If there are adapters already.
    """
    found = {}
    for layer, calls in calls_of(graph).items():
        if not isinstance(layer, keras.layers.Layer) or isinstance(layer, keras.Model):
            continue
        if any(isinstance(inner, LowRank) for inner in layer._flatten_layers()):
            raise ValueError(
                "`model` must not have adapters: merge them first, by `merge_lora`. Received: adapters in "
                f"layer '{layer.name}'"
            )
        if factors_of(layer) is None:
            found[layer] = [f"{layer.name}/{path}" for path, *_ in within(layer)]
        elif all(_has_one_argument(node) for node in calls):
            found[layer] = [layer.name]
    return {layer: paths for layer, paths in found.items() if paths}


def calls_of(graph):
    """Return the calls of each operation in a graph, as lists by operation, from the inputs on."""
    found = {}
    for call in _pieces.calls(graph.outputs):
        found.setdefault(call.operation, []).append(call)
    return {operation: found[operation] for operation in graph.operations if operation in found}


def chosen(name, where, paths):
    """Return those of some paths that are chosen, as a list.

    Args:
        name: Name of the argument.
        where: `None` for all; a regular expression, found anywhere in a path; names of layers, which stand
            for what is within them too; or a function from a path to a boolean.
        paths: Sequence of paths.

    Raises:
        ValueError: If none is chosen, or there is no such layer.
    """
    if where is None:
        return list(paths)
    if isinstance(where, str):
        found = [path for path in paths if _expression(name, where).search(path)]
    elif callable(where):
        found = [path for path in paths if where(path)]
    else:
        found = _named(name, where, paths)
    if not found:
        raise ValueError(f"`{name}` must choose layers among {list(paths)}. Received: {name}={where!r}")
    return found


def _expression(name, where):
    try:
        return re.compile(where)
    except re.error as error:
        raise ValueError(f"`{name}` must be a regular expression. Received: {where!r}, {error}") from None


def _named(name, where, paths):
    is_names = isinstance(where, (list, tuple, set)) and all(isinstance(key, str) for key in where)
    belonging = (
        {key: [p for p in paths if f"{p}/".startswith(f"{key}/")] for key in where} if is_names else {}
    )
    wrong = [key for key, some in belonging.items() if not some]
    if not is_names or wrong:
        raise ValueError(
            f"`{name}` must be a regular expression, a function, or names of layers that can have adapters: "
            f"{list(paths)}. Received: {wrong or f'{name}={where!r}'}"
        )
    return [path for path in paths if any(path in some for some in belonging.values())]


def _has_one_argument(node):
    """Return whether a call gives a layer one tensor and nothing else that is not `None`."""
    arguments = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    return sum(argument is not None for argument in arguments) == 1
