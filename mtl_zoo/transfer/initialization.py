"""Towers that start from what another model has learned."""

from collections.abc import Mapping
from typing import NamedTuple

import keras

from mtl_zoo.graphs import call_of, made_of, taken
from mtl_zoo.outputs import graph_of, named
from mtl_zoo.training.inlining import inlined
from mtl_zoo.validation import check_model

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


class Initialized(NamedTuple):
    """What `initialize` did.

    Args:
        copied: Dict from the names of the layers that got weights to those of the layers they are from.
        kept: List of the names of the other layers with weights, which start as they were.
    """

    copied: dict
    kept: list


def initialize(model, from_model):
    """Copy weights into every tower of a model from the layers of another one that stand where its own do.

    A layer gets the weights of one of its class, with weights of the same shapes, that comes after the same
    layers with weights. Names do not matter. What mixes towers, several tensors in and as many out as the
    units of `architectures.cross_stitch`, `sluice` and `nddr`, is passed through to the same tower, as is a
    normalization that the other model does not have there. The head of a task is left alone, unless the other
    model has an output of its name.

    Args:
        model: Functional or sequential `keras.Model`, whose weights change.
        from_model: Model of one task, or a pretrained network, to start every tower from; or a dict of such
            models by names of outputs, for towers of tasks that each were trained alone.

    Returns:
        `Initialized`: which layers were `copied`, and which `kept` their weights.

    Raises:
        ValueError: If a model is not functional, a key is no output of `model`, or nothing fits.

    Example:

    >>> x, encoder = keras.Input((8,)), mz.encoders.mlp(16, 4)
    >>> click, price = mz.Task.binary("click"), mz.Task.regression("price")
    >>> old = mz.architectures.hard_sharing(x, [click], encoder)
    >>> model = mz.architectures.cross_stitch(x, [click, price], encoder)
    >>> done = initialize(model, old)
    >>> done.copied["price_2_dense"], done.kept
    ('shared_2_dense', ['cross_stitch_1', 'cross_stitch_2', 'price_logits'])

    Reference:
        [Misra et al., 2016](https://arxiv.org/abs/1604.03539), section 4

    Note:
        Experts of a mixture stand in one place, several for one layer there, and are left alone: equal ones
        would be drawn apart by their gates only.
    """
    check_model(model, graph=True)
    graph = inlined(graph_of(model))
    outputs = {str(name): output for name, output in named(graph.output, graph).items()}
    sources = from_model if isinstance(from_model, Mapping) else dict.fromkeys(outputs, from_model)
    _check_sources(sources, outputs)
    copied = {}
    for name, source in sources.items():
        copied |= _pairs(name, graph, outputs[name], inlined(graph_of(source)))
    weighted = [operation for operation in graph.operations if _shapes(operation)]
    _check_found(copied, weighted)
    for layer, source in copied.items():
        layer.set_weights(source.get_weights())
    names = {layer.name: source.name for layer, source in copied.items()}
    return Initialized(names, [layer.name for layer in weighted if layer.name not in names])


def _check_sources(sources, outputs):
    unknown = [name for name in sources if name not in outputs]
    if unknown or not sources:
        raise ValueError(
            "`from_model` must be a model, or a dict of such by names of outputs, which are "
            f"{list(outputs)}. Received: {list(sources)}"
        )
    for source in sources.values():
        if not isinstance(source, keras.Model):
            raise ValueError(
                f"`from_model` must be a `keras.Model`, or a dict of such. Received: from_model={source!r}"
            )
        check_model(source, graph=True)


def _check_found(copied, weighted):
    if not copied:
        layers = {layer.name: _shapes(layer) for layer in weighted}
        raise ValueError(
            "`from_model` must have layers that stand where those of `model` do, of the same classes and "
            f"shapes of weights. Received: one without a match for any of {layers}"
        )


def _pairs(name, graph, output, source):
    """Return a dict from layers of a task's tower to those of a source in the same places."""
    theirs = {str(key): x for key, x in named(source.output, source).items()}
    numbers = {}
    given = _by_place([theirs[name]] if name in theirs else list(theirs.values()), source.inputs, numbers)
    wanted = _by_place([output], graph.inputs, numbers, dict(numbers))
    pairs = {}
    for place, layers in wanted.items():
        if len(layers) == len(given.get(place, ())):
            pairs |= dict(zip(layers, given[place], strict=True))
    if name not in theirs:
        pairs.pop(_head(output), None)
    return pairs


def _by_place(outputs, inputs, numbers, known=None):
    """Return the layers with weights of a tower, in lists by the numbers of the places where they stand.

    Args:
        outputs: List of tensors where towers end.
        inputs: List of tensors where they begin.
        numbers: Dict of places that have a number, which grows.
        known: Those of the other model: a normalization elsewhere is passed through. Defaults to `None`: none
            is.
    """
    places = {id(x): _number(("input", index), numbers) for index, x in enumerate(inputs)}
    found, seen = {}, set()
    for tensor in made_of(outputs, _before):
        operation = call_of(tensor).operation
        places.setdefault(id(tensor), _place(tensor, places, numbers, known))
        is_new = places[id(tensor)] not in map(places.get, map(id, _before(tensor)))
        if operation not in seen and _shapes(operation) and is_new:
            found.setdefault(places[id(tensor)], []).append(operation)
        seen.add(operation)
    return found


def _place(tensor, places, numbers, known):
    """Return the number of the place of a tensor: what made it out of what, but for steps without weights."""
    node = call_of(tensor)
    before = [places[id(x)] for x in _before(tensor)]
    shapes = _shapes(node.operation)
    if len(before) == 1 and (_mixes(tensor) or not (shapes or len(node.outputs) > 1)):
        return before[0]
    index = next(i for i, x in enumerate(node.outputs) if x is tensor)
    place = (type(node.operation), shapes, index, *before)
    if known is not None and place not in known and isinstance(node.operation, NORMALIZATIONS):
        return before[0]
    return _number(place, numbers)


def _number(place, numbers):
    return numbers.setdefault(place, len(numbers))


def _before(tensor):
    """Return the tensors before one, of those that are mixed the one of the same tower."""
    before = taken(tensor)
    if not _mixes(tensor):
        return before
    return [next(x for x, mixed in zip(before, call_of(tensor).outputs, strict=True) if mixed is tensor)]


def _mixes(tensor):
    """Return whether a tensor is one of several that were made of a list of as many."""
    node = call_of(tensor)
    given = node.arguments.args[:1]
    is_list = bool(given) and isinstance(given[0], (list, tuple))
    return is_list and len(node.outputs) == len(given[0]) == len(node.input_tensors) > 1


def _head(output):
    """Return the last layer with weights before an output."""
    operations = [call_of(tensor).operation for tensor in made_of([output], _before)]
    return next((x for x in reversed(operations) if _shapes(x)), None)


def _shapes(operation):
    """Return the shapes of a layer's weights; an empty tuple if it has none."""
    return tuple(tuple(weight.shape) for weight in getattr(operation, "weights", ()))
