"""Networks cut into stages, each a copy of a part of them."""

import functools
import itertools
import tempfile
from typing import NamedTuple

import keras
from keras import layers

from mtl_zoo.graphs import call_of, part, run

SHARING = ("copied", "shared", "frozen")


class Piece(NamedTuple):
    """Part of a network between two cuts.

    Args:
        model: Functional `keras.Model` from a list of tensors at the first cut to new ones.
        taken: Which of the tensors at the first cut it takes, a list of indices.
        ends: Which tensors are at the second cut: indices in a list of those at the first and the new ones.
        number: How many tensors are at the first cut.
        masked: Whether Keras' masks go through it.
    """

    model: keras.Model
    taken: list
    ends: list
    number: int
    masked: bool


def stages(network, cuts, outputs, sharing, redraw=False):
    """Return the stages of a network.

    Args:
        network: Functional `keras.Model`, of whose layers copies are made.
        cuts: Operations after which a stage ends, in the network's order.
        outputs: List of what the last stage returns.
        sharing: `"copied"`, `"shared"` or `"frozen"`, as in `pretrained`.
        redraw: Whether copies draw weights of their own. Defaults to `False`: they start from those that
            the network has at this call.

    Returns:
        List of functions `(x, name) -> x`. What goes on from one to the next is the output of the cut layer,
        or a list that ends with it, if later stages need other tensors too.
    """
    ends = [network.inputs, *_ends(network, cuts, outputs), outputs]
    pieces = [_piece(start, end) for start, end in itertools.pairwise(ends)]
    policy = network.dtype_policy
    if sharing == "shared":
        pieces = [
            piece._replace(model=_copy(piece.model, f"{network.name}_{index}", policy))
            for index, piece in enumerate(pieces, start=1)
        ]
    keywords = {"sharing": sharing, "redraw": redraw, "policy": policy}
    return [functools.partial(_stage, piece=piece, **keywords) for piece in pieces]


def calls(tensors):
    """Return the calls of operations that tensors come from, as the keys of a dict."""
    found, waiting = {}, [call_of(x) for x in tensors]
    while waiting:
        call = waiting.pop()
        if call not in found:
            found[call] = None
            waiting.extend(call.parent_nodes)
    return found


def _ends(network, cuts, outputs):
    """Yield the tensors that go through each cut, that of the layer there last."""
    needed, before = calls(outputs), {call_of(x): None for x in network.inputs}
    for cut in cuts:
        here = [x for call in needed if call.operation is cut for x in call.outputs]
        before |= calls(here)
        taken = [x for call in needed if call not in before for x in call.input_tensors]
        crossing = {id(x): x for x in [*taken, *outputs] if call_of(x) in before}
        last = next(crossing.pop(id(x)) for x in here if id(x) in crossing)
        yield [*crossing.values(), last]


def _piece(start, end):
    given = {id(x): x for x in start}
    new = [x for x in end if id(x) not in given]
    places = {key: place for place, key in enumerate([*given, *map(id, new)])}
    taken = _taken(start, new)
    model = part([start[index] for index in taken], new)
    masked = any(_is_masked(x) for call in calls(new) for x in call.outputs)
    return Piece(model, taken, [places[id(x)] for x in end], len(start), masked)


def _is_masked(tensor):
    return getattr(tensor, "_keras_mask", None) is not None


def _taken(start, new):
    """Return which of the first tensors the new ones are made of, by way of no other of them."""
    firsts, found, seen, waiting = {id(x): i for i, x in enumerate(start)}, set(), set(), list(new)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in firsts:
            found.add(firsts[id(tensor)])
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            waiting.extend(call_of(tensor).input_tensors)
    return sorted(found)


def _stage(x, name, piece, sharing, redraw, policy):
    given = keras.tree.flatten(x)
    if len(given) != piece.number:
        raise ValueError(
            f"Stage '{name}' needs {piece.number} tensors, what the stage before it returns. "
            f"Received: {len(given)}"
        )
    model = piece.model if sharing == "shared" else _copy(piece.model, name, policy, redraw)
    model.trainable = sharing != "frozen"
    call = _call_layers if piece.masked else keras.Model.__call__
    training = {"training": False} if sharing == "frozen" else {}
    new = call(model, [given[index] for index in piece.taken], **training)
    values = [*given, *keras.tree.flatten(new)]
    ends = [values[index] for index in piece.ends]
    return ends if len(ends) > 1 else ends[0]


def _call_layers(model, tensors, training=None):
    """Call the layers of a model, since calls of an inner model do not pass masks on."""

    def call(operation, *args, **kwargs):
        if getattr(operation, "_call_has_training_arg", False) and training is not None:
            kwargs["training"] = training
        return operation(*args, **{key: x for key, x in kwargs.items() if x is not None})

    return run(model, tensors, call)


def _copy(model, name, policy, redraw=False):
    """Return a model with layers of its own whose names start with `name`.

    Those of the precision `policy` get that of now.
    """

    def rename(operation):
        config = {**operation.get_config(), "name": f"{name}_{operation.name}"}
        if isinstance(operation, layers.Layer) and operation.dtype_policy == policy:
            config["dtype"] = keras.config.dtype_policy()
        return type(operation).from_config(config)

    clone = keras.models.clone_model(model, clone_function=rename, recursive=True)
    if not redraw:
        copy_state(model, clone)
    return keras.Model(clone.input, clone.output, name=f"{name}_network")


def copy_state(model, clone):
    """Give a clone, and the layers in it, what a model or a layer has learned, or was adapted to."""
    for old, new in zip(model._flatten_layers(), clone._flatten_layers(), strict=True):
        copy_own_state(old, new)


def copy_own_state(old, new):
    """Give a layer what another one has learned, or was adapted to, but for the layers in it."""
    if isinstance(old, keras.Model):
        return
    store = {}
    old.save_own_variables(store)
    new.load_own_variables(store)
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
