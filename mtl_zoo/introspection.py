"""What a model has learned to share: its gates, its mixing matrices, its tree."""

import keras
import numpy as np

from mtl_zoo.layers.cross_stitch import CrossStitch
from mtl_zoo.layers.mixture import Mixture


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
        Dict from the name of each gate's layer to an array `[experts]`, whose sum is 1.

    Raises:
        ValueError: If the model has no mixture of experts.
    """
    return {name: weights.mean(axis=0) for name, weights in gates(model, x, batch_size).items()}
