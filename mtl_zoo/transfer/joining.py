"""One functional model made of the trunk that several have in common and of the heads of each."""

import keras

from mtl_zoo.graphs import call_of
from mtl_zoo.outputs import named
from mtl_zoo.transfer.trunk import layers_of


def join(graphs, trunk):
    """Return a new model with one trunk, whose weights are new, and copies of all heads.

    Layers keep their names; of several with one name those of later models get the name of the model's
    first output in front.

    Args:
        graphs: List of `Graph`: of a base, after which the trunk is named, and of the models with heads.
        trunk: Set of the numbers of the trunk's calls.

    Returns:
        Functional `keras.Model` with a dict of all outputs.

    Raises:
        ValueError: If two outputs have one name, or one has none.
    """
    base, *models = graphs
    ends = [named(graph.model.output, graph.model) for graph in models]
    _check_names([name for found in ends for name in found])
    inputs = keras.tree.map_structure(_fresh, base.model.input)
    names = {call_of(x).operation.name for x in keras.tree.flatten(inputs)}
    shared = {name: _copy(layer, name) for name, layer in layers_of(base, trunk).items()}
    results = dict.fromkeys(trunk)
    names |= shared.keys()
    _run([call for call in base.calls if call[0] in trunk], base, inputs, shared, results, names, "shared")
    outputs = {}
    for graph, found in zip(models, ends, strict=True):
        known = _run(graph.calls, graph, inputs, shared, results, names, next(iter(found)))
        outputs |= {name: known[id(tensor)] for name, tensor in found.items()}
    return keras.Model(inputs, outputs, name="merged")


def _run(calls, graph, inputs, shared, results, names, prefix):
    """Make calls of copies, of the trunk once for all graphs; return results by the ids of originals."""
    flat = keras.tree.flatten(inputs)
    known = {id(x): tensor for x, tensor in zip(graph.model.inputs, flat, strict=True)}
    copies = {}
    for number, node in calls:
        tensors = results.get(number)
        if tensors is None:
            tensors = _call(node, known, _copy_of(node.operation, shared, copies, names, prefix))
        if number in results:
            results[number] = tensors
        known |= {id(x): tensor for x, tensor in zip(node.outputs, tensors, strict=True)}
    for operation, copy in copies.values():
        if getattr(operation, "weights", ()):
            copy.set_weights(operation.get_weights())
    return known


def _call(node, known, copy):
    arguments, keywords = node.arguments.fill_in(known)
    found = copy(*arguments, **{key: x for key, x in keywords.items() if x is not None})
    return keras.tree.flatten(found)


def _copy_of(operation, shared, copies, names, prefix):
    """Return the layer of the trunk, or the copy for this model, which is made when it is needed first."""
    if operation.name in shared and operation.weights:
        return shared[operation.name]
    if id(operation) not in copies:
        name = operation.name
        while name in names:
            name = f"{prefix}_{name}"
        names.add(name)
        copies[id(operation)] = operation, _copy(operation, name)
    return copies[id(operation)][1]


def _copy(operation, name):
    config = operation.get_config()
    copy = type(operation).from_config({**config, "name": name} if "name" in config else config)
    copy.name = name  # some operations of Keras take none
    return copy


def _fresh(x):
    return keras.Input(batch_shape=x.shape, dtype=x.dtype, sparse=x.sparse, name=call_of(x).operation.name)


def _check_names(names):
    if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            "Every output of `models` must have a name of its own: give a model a dict of outputs, by tasks. "
            f"Received outputs {names}"
        )
