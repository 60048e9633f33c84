"""What a model has learned to share: its gates, its mixing matrices, its tree."""

import keras
import numpy as np

from mtl_zoo import arguments
from mtl_zoo.layers.cross_stitch import CrossStitch
from mtl_zoo.layers.mixture import Mixture
from mtl_zoo.layers.nddr import NDDR
from mtl_zoo.layers.sluice import Sluice
from mtl_zoo.layers.stage_mixture import StageMixture


def gates(model, x, batch_size=256):
    """Return the weights that every gate gives to its experts, example by example.

    Args:
        model: Functional `keras.Model` with mixtures of experts, such as those of `architectures.mmoe`,
            `cgc`, `ple` and `dselect_k`.
        x: Inputs of the model, as `keras.Model.predict` takes them: arrays, or a `tf.data.Dataset`.
        batch_size: Number of examples at once. Defaults to 256.

    Returns:
        Dict from the name of each gate's layer to an array `[examples, experts]`.

    Raises:
        ValueError: If the model has no mixture of experts.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.mmoe(keras.Input((8,)), tasks, mz.encoders.mlp(4), num_experts=3)
    >>> {name: weights.shape for name, weights in gates(model, np.ones((5, 8))).items()}
    {'click_gate': (5, 3), 'price_gate': (5, 3)}
    """
    batch_size = arguments.integer("batch_size", batch_size, 1, arguments.EXAMPLES)
    tensors = {}
    for layer in model.layers:
        if isinstance(layer, Mixture):
            gate = layer.input[0]
            tensors[gate._keras_history.operation.name] = gate
    if not tensors:
        raise ValueError(f"A model must have a mixture of experts. Received: model '{model.name}', without")
    weights = keras.Model(model.input, tensors).predict(x, batch_size=batch_size, verbose=0)
    return {name: weights[name] for name in tensors}


def expert_load(model, x, batch_size=256):
    """Return the mean weight that every gate gives to each of its experts.

    Args:
        model: As for `gates`.
        x: As for `gates`.
        batch_size: As for `gates`.

    Returns:
        Dict from the name of each gate's layer to an array `[experts]`, whose sum is 1; but the weight of a
        single expert's gate, of `architectures.home`, is between 0 and 1.

    Raises:
        ValueError: If the model has no mixture of experts.
    """
    return {name: weights.mean(axis=0) for name, weights in gates(model, x, batch_size).items()}


def mixing(model):
    """Return the matrices by which towers mix.

    Args:
        model: Functional `keras.Model` with units that mix towers, such as those of
            `architectures.cross_stitch`, `sluice` and `nddr`.

    Returns:
        Dict from the name of each unit to an array `[outputs, inputs]`: the mean over channels of a
        cross-stitch unit's weights, the subspaces' weights of a sluice unit, the mean weight of a channel on
        the same one of each tower for NDDR; and the weights `[stages]` of a sluice network's stages.

    Raises:
        ValueError: If the model has no such unit.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.cross_stitch(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> np.round(mixing(model)["cross_stitch_1"], 3)
    array([[0.9, 0.1],
           [0.1, 0.9]], dtype=float32)
    """
    found = {layer.name: READERS[type(layer)](layer) for layer in model.layers if type(layer) in READERS}
    if not found:
        raise ValueError(f"A model must have units that mix towers. Received: model '{model.name}', without")
    return found


def _kernel(layer):
    return np.array(layer.kernel)


def _mean_over_channels(layer):
    return _kernel(layer).mean(axis=-1)


def _mean_of_diagonals(layer):
    towers, _, channels = layer.kernel.shape
    blocks = _kernel(layer).reshape(towers, towers, channels, channels)
    return np.trace(blocks, axis1=2, axis2=3) / channels


READERS = {
    CrossStitch: _mean_over_channels,
    NDDR: _mean_of_diagonals,
    Sluice: _kernel,
    StageMixture: _kernel,
}
