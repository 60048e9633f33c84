"""A functional model whose inner models are replaced by their layers."""

import functools

import keras

from mtl_zoo.graphs import run
from mtl_zoo.outputs import graph_of


def inlined(model):
    """Return a second graph of the same layers, in which those of inner models stand for these.

    Between them there are masks that a call of an inner model hides, and the tensors of a trunk that the
    inner model has together with its heads.

    Args:
        model: Functional `keras.Model`.

    Returns:
        Functional `keras.Model` of the same inputs, outputs and values. An inner model stays as it is if it
        computes more than its graph, or two layers of it and of others have the same name.

    Example:

    >>> inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")], name="inner")
    >>> x = keras.Input((3,), name="x")
    >>> [layer.name for layer in inlined(keras.Model(x, inner(x))).layers]
    ['x', 'dense']
    """
    plain = keras.Model(model.input, model.output, name=model.name)
    names = [operation.name for operation in {id(x): x for x in _operations(plain)}.values()]
    call = _call if len(names) == len(set(names)) else None
    return keras.models.clone_model(plain, clone_function=lambda layer: layer, call_function=call)


def _operations(model):
    """Yield the operations of a graph; those of inner models, but for their inputs, in place of these."""
    for operation in model.operations:
        if _is_open(operation):
            inner = _operations(graph_of(operation))
            yield from (x for x in inner if not isinstance(x, keras.layers.InputLayer))
        else:
            yield operation


def _is_open(operation):
    """Return whether an operation is a model that computes its graph and nothing else."""
    is_model = isinstance(operation, keras.Model) and bool(getattr(operation, "inputs", None))
    return is_model and graph_of(operation) is not None


def _call(operation, /, *args, **kwargs):
    """Call an operation, or those of an inner model in its place."""
    graph = graph_of(operation) if _is_open(operation) else None
    if graph is None or not _fits(graph, args):
        known = {key: x for key, x in kwargs.items() if x is not None}  # a mask may be, now
        return operation(*args, **known)
    tensors = zip(keras.tree.flatten(args[0]), graph.inputs, strict=True)
    given = [x if x.dtype == wanted.dtype else keras.ops.cast(x, wanted.dtype) for x, wanted in tensors]
    return run(graph, given, functools.partial(_call_within, kwargs.get("training")))


def _call_within(training, operation, /, *args, **kwargs):
    """Call an operation of an inner model in the mode in which that is called, if it is told one."""
    if training is not None and getattr(operation, "_call_has_training_arg", False):
        kwargs["training"] = training
    return _call(operation, *args, **kwargs)


def _fits(graph, args):
    """Return whether a graph takes these arguments as they are, but for their types."""
    if len(args) != 1 or isinstance(args[0], dict) != isinstance(graph.input, dict):
        return False
    if isinstance(args[0], dict) and set(args[0]) != set(graph.input):
        return False
    shapes = [[len(x.shape) for x in keras.tree.flatten(tensors)] for tensors in (args[0], graph.input)]
    return shapes[0] == shapes[1]
