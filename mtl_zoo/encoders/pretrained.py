"""Networks of `keras.applications`, cut into stages."""

import functools
import inspect
import itertools
import sys

import keras
import numpy as np
from keras import layers

SHARING = ("copied", "shared", "frozen")


def pretrained(name, input_shape, weights="imagenet", cut=None, sharing="copied", arguments=None):
    """Return the stages of a network of `keras.applications`, without its classifier.

    The first stage takes pixels from 0 to 255 and contains the network's own preprocessing.

    Args:
        name: Name of the function in `keras.applications`, such as `"MobileNetV2"`.
        input_shape: Tuple of height, width and channels, of which there are 3.
        weights: `"imagenet"` (downloaded by Keras once), a path of weights, or `None` for random ones.
            Defaults to `"imagenet"`.
        cut: Names of layers after which a stage ends; everything must pass through each of them. Defaults to
            `None`: the last such layers before the resolution halves.
        sharing: `"copied"`: every call of a stage trains a copy of its own, which starts from the weights;
            `"shared"`: all calls of a stage train the same layers; `"frozen"`: copies that do not train.
            Defaults to `"copied"`.
        arguments: Dict of further arguments of the function, such as `{"alpha": 0.5}`. Defaults to none.

    Returns:
        List of stages, of which a slice is an encoder too.

    Raises:
        ValueError: If there is no such network, sharing or layer, or a layer cannot be cut at.

    Example:

    >>> encoder = pretrained("MobileNet", (32, 32, 3), weights=None, arguments={"alpha": 0.25})
    >>> len(encoder), mz.encoders.encode(keras.Input((32, 32, 3)), encoder[:2], "shared").shape
    (5, (None, 9, 9, 32))

    Note:
        Copies of given weights are equal at first. Experts of `mmoe` and its like then part only through the
        gates, which weigh their gradients differently; share the early stages and let the experts be stages
        of their own: `[*pretrained(...), *mlp(64)]`. Random weights (`None`) are drawn anew for every copy.
    """
    if sharing not in SHARING:
        raise ValueError(f"`sharing` must be one of {SHARING}. Received: sharing={sharing!r}")
    function = _function(name)
    network = function(
        include_top=False, weights=weights, input_shape=tuple(input_shape), **(arguments or {})
    )
    ends = [*_cuts(network, cut), network.output]
    pieces = [keras.Model(a, b) for a, b in zip([network.input, *ends[:-1]], ends, strict=True)]
    stages = [functools.partial(_stage, piece=x, sharing=sharing, redraw=weights is None) for x in pieces]
    stages[0] = functools.partial(_first_stage, stage=stages[0], function=function)
    return stages


def _function(name):
    """Return the function of `keras.applications`."""
    networks = {key: x for key, x in vars(keras.applications).items() if inspect.isfunction(x)}
    if name not in networks:
        raise ValueError(f"`name` must be one of {sorted(networks)}. Received: name={name!r}")
    return networks[name]


def _cuts(network, names):
    """Return the tensors at which the network is cut, without its end."""
    valid = {layer.name: layer.output for layer in _gateways(network)}
    if names is not None:
        wrong = [name for name in names if name not in valid]
        if wrong:
            raise ValueError(
                f"`cut` must name layers through which everything passes. Received: {wrong}, "
                f"but there are {list(valid)}"
            )
        return [valid[name] for name in names]
    maps = [x for x in [*valid.values(), network.output] if len(x.shape) == 4]
    return [x for x, after in itertools.pairwise(maps) if after.shape[1] <= 0.6 * x.shape[1]]


def _gateways(network):
    """Return the inner layers through which everything passes, in order."""
    order = {id(layer): index for index, layer in enumerate(network.layers)}
    last_use = list(range(len(order)))
    for layer in network.layers:
        for node in layer._inbound_nodes:
            for parent in node.parent_nodes:
                if id(parent.operation) in order:
                    source = order[id(parent.operation)]
                    last_use[source] = max(last_use[source], order[id(layer)])
    reach = np.maximum.accumulate([0, *last_use[:-1]])
    found = [layer for index, layer in enumerate(network.layers) if reach[index] <= index]
    return [layer for layer in found if not isinstance(layer, layers.InputLayer) and layer is not network.layers[-1]]


def _stage(x, name, piece, sharing, redraw):
    if sharing == "shared":
        return piece(x)
    copy = keras.models.clone_model(piece)
    copy.name = f"{name}_network"
    if not redraw:
        copy.set_weights(piece.get_weights())
    copy.trainable = sharing != "frozen"
    return copy(x)


def _first_stage(x, name, stage, function):
    return stage(_preprocess(x, name, function), name)


def _preprocess(x, name, function):
    """Apply the network's own preprocessing, which is an affine map of the channels, to pixels."""
    preprocess = sys.modules[function.__module__].preprocess_input
    probes = np.concatenate([np.zeros((1, 3)), np.eye(3)]).reshape(4, 1, 1, 3).astype("float32")
    answers = np.asarray(preprocess(probes.copy(), data_format="channels_last"), "float64").reshape(4, 3)
    offset, matrix = answers[0], answers[1:] - answers[0]
    if np.allclose(matrix, np.eye(3)) and not offset.any():
        return x
    layer = layers.Dense(3, trainable=False, dtype="float32", name=f"{name}_preprocess")
    x = layer(x)
    layer.set_weights([matrix, offset])
    return x
