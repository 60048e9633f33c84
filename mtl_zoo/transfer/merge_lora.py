"""Models with adapters as models of plain layers."""

import keras

from mtl_zoo import arguments, graphs
from mtl_zoo.encoders._pieces import copy_own_state
from mtl_zoo.graphs import fresh_inputs
from mtl_zoo.transfer._choice import calls_of
from mtl_zoo.transfer._copies import Copies, graph_to_adapt
from mtl_zoo.transfer.adapted import Adapted
from mtl_zoo.transfer.drawn_preferences import DrawnPreferences
from mtl_zoo.transfer.low_rank import LowRank
from mtl_zoo.transfer.weighed_gradient import WeighedGradient


def merge_lora(model, preferences=None):
    """Return a model of plain layers that computes what one with adapters does.

    The products of the matrices are added to the weights, so that they cost nothing any more. Where the tasks
    have streams of their own, every task has a copy of the layer.

    Args:
        model: What `lora` or `palora` returned, trained or loaded. It stays as it is.
        preferences: For a model of `palora`, one non-negative number per task: the trade-off that is kept.
            What comes back has no input for preferences. Defaults to `None`, for a model of `lora`.

    Returns:
        Functional `keras.Model`; its layers are copies.

    Raises:
        ValueError: If the model is not functional, or `preferences` are missing, too many or not wanted.

    Example:

    >>> backbone = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, "relu", name="dense")])
    >>> model = merge_lora(mz.transfer.lora(backbone, [mz.Task.binary("cat"), mz.Task.regression("age")]))
    >>> sorted(layer.name for layer in model.layers if "dense" in layer.name)
    ['dense_0', 'dense_1']
    """
    graph = graph_to_adapt(model)
    shares, chosen = _shares(graph, preferences)
    copies, plain = Copies(), {}

    def call(operation, *args, **kwargs):
        kwargs = {key: x for key, x in kwargs.items() if x is not None}
        if isinstance(operation, (DrawnPreferences, WeighedGradient)):
            return args[0]
        if not isinstance(operation, (LowRank, Adapted)):
            return copies.of(operation)(*args, **kwargs)
        kwargs.pop("preferences", None)
        key = operation, kwargs.pop("task", None)
        if key not in plain:
            plain[key] = merged(*key, shares)
        return plain[key](*args, **kwargs)

    inputs = fresh_inputs(graph.input)
    outputs = graphs.run(graph, keras.tree.flatten(inputs), call)
    copies.fill()
    kept = {name: x for name, x in inputs.items() if name not in chosen} if chosen else inputs
    return keras.Model(kept, outputs, name=model.name)


def _shares(graph, preferences):
    """Return the tasks' shares as a list, and the names of inputs that they take the place of."""
    calls = [calls[0] for x, calls in calls_of(graph).items() if isinstance(x, DrawnPreferences)]
    if not calls and preferences is None:
        return None, []
    if not calls or preferences is None:
        raise ValueError(
            "`preferences` must be given for a model that has them as an input, and for no other. "
            f"Received: preferences={preferences}"
        )
    chosen = calls[0].input_tensors[0]
    found = arguments.per_task("preferences", arguments.preferences(preferences), chosen.shape[-1])
    return [share / sum(found) for share in found], [chosen.name]


def merged(layer, task=None, preferences=None):
    """Return a layer without adapters that computes what one with adapters does.

    Args:
        layer: `LowRank` or `Adapted`.
        task: As in `LowRank`, and the end of the new layer's name. Defaults to `None`: one for all.
        preferences: As in `LowRank.merged`.
    """
    name = layer.name if task is None else f"{layer.name}_{task}"
    if isinstance(layer, LowRank):
        new = _linear(layer, name)
        _merge(layer, new, task, preferences)
        return new
    new, pairs = layer.plain(name)
    for inner, old in pairs:
        if id(old) in layer.told.adapters:
            _merge(layer.told.adapters[id(old)], inner, task, preferences)
        else:
            copy_own_state(old, inner)
    return new


def _linear(layer, name):
    """Return a new layer as the base of a `LowRank` was, with its activation."""
    config = {**layer.base.get_config(), "name": name, "trainable": True}
    if "activation" in config:
        config["activation"] = keras.activations.serialize(layer.activation)
    new = type(layer.base).from_config(config)
    new.build_from_config(layer.base.get_build_config())
    return new


def _merge(adapter, new, task, preferences):
    copy_own_state(adapter.base, new)
    type(adapter.factors)(new).kernel.assign(adapter.merged(task, preferences))
