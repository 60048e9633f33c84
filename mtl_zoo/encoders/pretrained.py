"""Networks of `keras.applications`, cut where the resolution halves."""

import functools
import inspect
import itertools
import sys

import keras
import numpy as np
from keras import layers, ops

from mtl_zoo import arguments as checks
from mtl_zoo.encoders._pieces import SHARING, stages


def pretrained(name, input_shape, weights="imagenet", cut=None, sharing="copied", arguments=None):
    """Return the stages of a network of `keras.applications`, without its classifier.

    Inputs are RGB pixels from 0 to 255; the first stage begins with the network's own `preprocess_input`.

    Args:
        name: Name of the function in `keras.applications`, such as `"MobileNetV2"`.
        input_shape: Tuple of height, width and channels, of which there are 3.
        weights: `"imagenet"` (downloaded by Keras once), the path of a weights file, or `None` for random
            ones. Defaults to `"imagenet"`.
        cut: Names of layers after which a stage ends, as a list or with commas between them; everything must
            pass through each of them. Defaults to `None`: the last such layers before the resolution halves.
        sharing: `"copied"`: every call of a stage makes a copy of its own, which starts from the weights;
            `"shared"`: all calls of a stage use the same layers, in all models made with it;
            `"frozen"`: copies that do not train, always in inference mode. Defaults to `"copied"`.
        arguments: Dict of further arguments of the function, such as `{"alpha": 0.5}`. Defaults to none.

    Returns:
        List of stages. Each applies one nested model, `"{name}_network"`; a shared one has the name of the
        network, and the precision at this call.

    Raises:
        ValueError: If there is no such network, way of sharing or layer, the size is open, or a branch
            leads past the end of a stage.

    Example:

    >>> encoder = pretrained("MobileNet", (32, 32, 3), weights=None, arguments={"alpha": 0.25})
    >>> len(encoder), mz.encoders.encode(keras.Input((32, 32, 3)), encoder[:2], "shared").shape
    (5, (None, 8, 8, 32))

    Note:
        Copies of given weights are equal at first; random ones (`None`) are drawn anew for every copy. Among
        equal experts (`architectures.mmoe` and its like) no choice matters, so gates have no gradient in the
        first step, and experts part only as far as their gates differ. Better let experts be random stages on
        a pretrained stem: `encoder=[*pretrained(...), *mlp(64)]`, and `shared_stages` the number of
        pretrained stages.

    Note:
        `"shared"` ties what an architecture takes for separate towers: `single_task` then shares its stages
        between tasks, `soft_sharing` has nothing to draw together there, and all experts are one. Batch
        normalization counts every tower's batch.
    """
    checks.option("sharing", sharing, SHARING)
    keywords = checks.mapping("arguments", arguments)
    if weights is not None:
        checks.path("weights", weights)
    if cut is not None and not isinstance(cut, str):
        checks.texts("cut", cut)
    is_shape = isinstance(input_shape, (tuple, list)) and len(input_shape) == 3
    if not is_shape or None in input_shape or input_shape[-1] != 3:
        raise ValueError(f"`input_shape` must be (height, width, 3). Received: input_shape={input_shape!r}")
    input_shape = checks.integers("input_shape", input_shape, 1, checks.SIDE)
    function = _function(name)
    network = function(include_top=False, weights=weights, input_shape=tuple(input_shape), **keywords)
    cuts = _halvings(network) if cut is None else _named(network, cut)
    first, *rest = stages(network, cuts, network.outputs, sharing, redraw=weights is None)
    return [functools.partial(_first_stage, stage=first, function=function), *rest]


def _function(name):
    """Return the function of `keras.applications`."""
    functions = {key: x for key, x in vars(keras.applications).items() if inspect.isfunction(x)}
    return functions[checks.option("name", name, sorted(functions))]


def _named(network, names):
    """Return the layers of these names, in the network's order."""
    names = names.split(",") if isinstance(names, str) else names
    valid = {operation.name: operation for operation in _gateways(network)[:-1]}
    wrong = [name for name in names if name not in valid]
    if wrong:
        raise ValueError(
            "`cut` must name inner layers through which everything passes, which are "
            f"{list(valid)}. Received: {wrong}"
        )
    return [operation for name, operation in valid.items() if name in names]


def _halvings(network):
    """Return the last layers before each halving of the sides, such that every stage has weights to train."""
    counts = itertools.accumulate(len(_trainable(operation)) for operation in network.operations)
    trained = dict(zip(network.operations, counts, strict=True))
    maps = [x for x in _gateways(network) if len(_output(x).shape) == 4]
    maps = [x for x in maps if not isinstance(x, layers.ZeroPadding2D)]  # belongs to the convolution after it
    ends = [x for x, after in itertools.pairwise(maps) if _is_half(_side(after), _side(x))]
    ends = {trained[x]: x for x in ends}
    return [x for count, x in ends.items() if 0 < count < len(network.trainable_variables)]


def _trainable(operation):
    return getattr(operation, "trainable_variables", [])


def _side(operation):
    return max(_output(operation).shape[1:3])


def _is_half(side, before):
    """Return whether a side is at most half of another, rounded up."""
    return side < before and 2 * side <= before + 1


def _gateways(network):
    """Return the operations through which everything passes, in order, from after the input to the output."""
    order = {operation: index for index, operation in enumerate(network.operations)}
    last_use = [0] * len(order)
    for operation, index in order.items():
        for parent in operation._inbound_nodes[0].parent_nodes:
            last_use[order[parent.operation]] = index
    passed_by = itertools.accumulate([0, *last_use], max)
    return [x for (x, index), last in zip(order.items(), passed_by, strict=False) if last == index][1:]


def _output(operation):
    """Return the tensor that an operation adds to the graph (`output` of a nested model is another)."""
    return operation._inbound_nodes[0].output_tensors[0]


def _first_stage(x, name, stage, function):
    return stage(_preprocess(x, name, function), name)


def _preprocess(x, name, function):
    """Apply the network's own preprocessing of pixels: channels reversed or not, scaled and shifted."""
    preprocess = sys.modules[function.__module__].preprocess_input
    probes = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)]).reshape(4, 1, 1, 3)
    shift, *answers = np.reshape(preprocess(probes, data_format="channels_last"), (4, 3))
    matrix = (answers - shift) / 255.0
    if matrix[0, 0] == 0:
        x, matrix = ops.flip(x, axis=-1), matrix[::-1]
    scale = np.diag(matrix)
    if np.all(scale == 1) and not np.any(shift):
        return x
    return layers.Rescaling(scale.tolist(), shift.tolist(), dtype="float32", name=f"{name}_preprocess")(x)
