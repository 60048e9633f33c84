"""Parts of a model that further training leaves as they are."""

import keras

from mtl_zoo import arguments
from mtl_zoo.graphs import call_of, made_of
from mtl_zoo.outputs import graph_of, named
from mtl_zoo.training.inlining import inlined
from mtl_zoo.validation import check_model


def freeze(model, tasks=(), shared=False, layers=()):
    """Freeze parts of a model: neither training nor statistics of batches change them from now on.

    A frozen batch normalization keeps its moving statistics and normalizes by them in training, too. Dropout
    goes on dropping. Freeze before `Trainer.compile`, which settles what is trained. Every other model with
    the same layers finds them frozen.

    Args:
        model: Functional `keras.Model`.
        tasks: Names of outputs: freezes what no other output needs. Defaults to none.
        shared: Whether to freeze what more than one output needs. Defaults to `False`.
        layers: Names of layers, those of inner models among them. Defaults to none.

    Returns:
        List of the layers with weights that are frozen now; `layer.trainable = True` trains one again.

    Raises:
        ValueError: If the model is not functional, it has no such output or layer, nothing with weights is
            chosen, or a layer changes in training even if it is frozen.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16, 4))
    >>> [layer.name for layer in freeze(model, tasks=["click"], shared=True)]
    ['shared_1_dense', 'shared_2_dense', 'click_logits']
    """
    check_model(model, graph=True)
    tasks, layers = arguments.texts("tasks", tasks), arguments.texts("layers", layers)
    shared = arguments.flag("shared", shared)
    users = _users(inlined(graph_of(model)))
    known = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    _check_names("tasks", tasks, set().union(*users.values()))
    _check_names("layers", layers, known)
    chosen = [x for x, names in users.items() if names <= set(tasks) or (shared and len(names) > 1)]
    found = [layer for layer in dict.fromkeys([*chosen, *map(known.get, layers)]) if _has_weights(layer)]
    _check(found, model)
    for layer in found:
        layer.trainable = False
    return found


def _users(graph):
    """Return the names of the outputs that need an operation, a set for every one in the graph's order."""
    users = {operation: set() for operation in graph.operations}
    for name, output in named(graph.output, graph).items():
        for tensor in made_of([output]):
            users[call_of(tensor).operation].add(str(name))
    return users


def _has_weights(operation):
    return bool(getattr(operation, "weights", None))


def _check_names(what, names, known):
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"`{what}` must be of the model, which has {sorted(known)}. Received: {unknown}")


def _check(found, model):
    if not found:
        raise ValueError(
            "`tasks`, `shared` or `layers` must choose layers with weights. Received: nothing of model "
            f"'{model.name}' that has some"
        )
    moving = [
        part.name
        for layer in found
        for part in layer._flatten_layers()
        if isinstance(part, keras.layers.SpectralNormalization)
    ]
    if moving:
        raise ValueError(
            "Layers to freeze must be some that training leaves alone then. Received: "
            f"`SpectralNormalization` {moving}, which normalizes its kernel in every step"
        )
