"""The trunk of several functional models: the calls that all of them make of the same inputs."""

import collections
from typing import NamedTuple

import keras
from absl import logging

from mtl_zoo import files
from mtl_zoo.graphs import call_of
from mtl_zoo.outputs import graph_of

IGNORED = ("name", "trainable", "seed")  # what a copy of a layer may have otherwise
IGNORED_ENDS = ("_initializer", "_regularizer", "_constraint")


class Graph(NamedTuple):
    """A functional model whose calls are numbered.

    Args:
        name: What it is called in errors.
        model: Functional `keras.Model`.
        calls: List of pairs of a number and a node of Keras' graph, in the order of the computation. Calls
            in several graphs have the same number if layers of one name, or operations without weights that
            do the same, are called on results with the same numbers.
        layers: Dict from the names of layers with weights to the layers.
    """

    name: str
    model: keras.Model
    calls: list
    layers: dict

    @property
    def ends(self):
        """The names of the last layers with weights on the way to every output."""
        found, waiting = set(), [call_of(x) for x in keras.tree.flatten(self.model.output)]
        while waiting:
            node = waiting.pop()
            if node.operation.name in self.layers:
                found.add(node.operation.name)
            else:
                waiting.extend(node.parent_nodes)
        return found


def read(name, model):
    """Return a model, or the one in a Keras file, as a functional one.

    Args:
        name: What it is called in errors.
        model: Built `keras.Model`, or path of a `.keras` file.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is neither, or not functional.
    """
    found = model if isinstance(model, keras.Model) else files.load_model(_path(name, model))
    graph = graph_of(found) if found.built else None
    if graph is None:
        raise ValueError(
            f"`{name}` must be a functional `keras.Model`, whose layers can be told apart. Received: "
            f"'{found.name}', which is not built or has a `call` of its own"
        )
    return graph


def find(base, models):
    """Return the graphs of a base and of models made from it, and the numbers of the calls of their trunk.

    The trunk is what all of them do alike up to the last layers with weights before the outputs of `models`,
    which are heads. Layers with weights are the same if they have the same name.

    Args:
        base: Functional `keras.Model`.
        models: Sequence of functional `keras.Model`.

    Returns:
        Pair of a list of `Graph`, that of `base` first, and a set of numbers.

    Raises:
        ValueError: If inputs differ, layers of one name differ or are called otherwise, or there is no layer
            with weights that all have.
    """
    numbers = {}
    names = ["base", *(f"models[{index}]" for index in range(len(models)))]
    graphs = [_numbered(name, model, numbers) for name, model in zip(names, [base, *models], strict=True)]
    heads = set().union(*(graph.ends for graph in graphs[1:]))
    for graph in graphs[1:]:
        _check_inputs(graphs[0], graph)
        _check_layers(graphs[0], graph, heads)
    shared = set.intersection(*({number for number, _ in graph.calls} for graph in graphs))
    trunk = _up_to(graphs[0], shared, heads)
    _check_trunk(graphs, trunk, heads)
    return graphs, trunk


def layers_of(graph, trunk):
    """Return the layers with weights of a graph that belong to a trunk, by their names."""
    names = {node.operation.name for number, node in graph.calls if number in trunk}
    return {name: layer for name, layer in graph.layers.items() if name in names}


def _path(name, path):
    if not str(path).endswith(".keras"):
        raise ValueError(f"`{name}` must be a `keras.Model` or a `.keras` file. Received: {path!r}")
    return path


def _numbered(name, model, numbers):
    known = {id(x): f"<input {index}>" for index, x in enumerate(model.inputs)}
    calls = []
    for node in _nodes(model):
        key = (_identity(node.operation), repr(node.arguments.fill_in(known)))
        number = numbers.setdefault(key, len(numbers))
        known |= {id(x): f"<{number}.{index}>" for index, x in enumerate(node.outputs)}
        calls.append((number, node))
    operations = [node.operation for _, node in calls]
    return Graph(name, model, calls, {x.name: x for x in operations if getattr(x, "weights", ())})


def _nodes(model):
    """Return the calls in a model in the order of its computation."""
    depths = sorted(model._nodes_by_depth.items(), reverse=True)
    return [node for _, nodes in depths for node in nodes if not node.is_input]


def _identity(operation):
    return operation.name if getattr(operation, "weights", ()) else _configuration(operation)


def _configuration(operation):
    """Return in words what an operation does, whatever its name, its precision and how it is trained."""
    return f"{type(operation).__module__}.{type(operation).__name__} {_lasting(operation.get_config())}"


def _lasting(config):
    if isinstance(config, dict):
        return {key: _lasting(x) for key, x in config.items() if not _is_ignored(key, x)}
    return [_lasting(x) for x in config] if isinstance(config, (list, tuple)) else config


def _is_ignored(key, value):
    is_policy = key == "dtype" and isinstance(value, dict)
    return key in IGNORED or is_policy or str(key).endswith(IGNORED_ENDS)


def _up_to(base, shared, heads):
    """Return the shared calls that are made of shared calls alone, none of them of a head."""
    inside, trunk = {id(x) for x in base.model.inputs}, set()
    for number, node in base.calls:
        made_inside = all(id(x) in inside for x in node.input_tensors)
        if number in shared and made_inside and node.operation.name not in heads:
            trunk.add(number)
            inside |= {id(x) for x in node.outputs}
    return trunk


def _check_inputs(base, graph):
    wanted, found = ([(tuple(x.shape), str(x.dtype)) for x in found.model.inputs] for found in (base, graph))
    if wanted != found or _keys(base.model) != _keys(graph.model):
        raise ValueError(
            f"`{graph.name}` must have the inputs of `base`, {_described(base.model, wanted)}. "
            f"Received: {_described(graph.model, found)}"
        )


def _keys(model):
    return sorted(model.input) if isinstance(model.input, dict) else None


def _described(model, kinds):
    return dict(zip(_keys(model), kinds, strict=True)) if _keys(model) else kinds


def _check_layers(base, graph, heads):
    """Raise an error if layers of one name are not of one kind."""
    for name in (name for name in base.layers if name in graph.layers and name not in heads):
        facts = [_facts(found.layers[name]) for found in (base, graph)]
        if facts[0] != facts[1]:
            keys = [key for key in facts[0] | facts[1] if facts[0].get(key) != facts[1].get(key)]
            raise ValueError(
                f"Layer '{name}' must be the same in `base` and in `{graph.name}`, or have another name "
                f"in one of them. Received: {_of(facts[0], keys)} and {_of(facts[1], keys)}"
            )


def _of(facts, keys):
    return {key: facts.get(key) for key in keys}


def _facts(layer):
    """Return what must be the same in two layers for their weights to be merged."""
    kind = f"{type(layer).__module__}.{type(layer).__name__}"
    return {"class": kind, "shapes": [tuple(x.shape) for x in layer.weights], **_lasting(layer.get_config())}


def _check_trunk(graphs, trunk, heads):
    base, common = graphs[0], set.intersection(*(set(graph.layers) for graph in graphs)) - heads
    found = layers_of(base, trunk).keys()
    if not common:
        raise ValueError(
            "`models` must be made from `base`: every one must have its layers up to the heads, with their "
            f"names. Received: {[(graph.name, list(graph.layers)) for graph in graphs]}"
        )
    if common - found:
        name = next(name for name in base.layers if name in common - found)
        raise ValueError(
            f"Layer '{name}' must be called on the same tensors in `base` and in every one of `models`. "
            f"Received calls on {_wirings(graphs, name)}"
        )
    left_out = base.layers.keys() - found - base.ends
    if left_out:
        logging.warning(
            "Layers %s of `base` are not merged: not every model has them before its heads.", sorted(left_out)
        )


def _wirings(graphs, name):
    """Return for every graph on what a layer is called."""
    found = collections.defaultdict(list)
    for graph in graphs:
        for _, node in graph.calls:
            if node.operation.name == name:
                found[graph.name].append([parent.operation.name for parent in node.parent_nodes])
    return dict(found)
