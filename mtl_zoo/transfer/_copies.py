"""Layers of a new graph in the place of those of an old one."""

import keras

from mtl_zoo.encoders._pieces import copy_state
from mtl_zoo.outputs import graph_of
from mtl_zoo.training.inlining import inlined
from mtl_zoo.transfer.adapted import Adapted
from mtl_zoo.transfer.low_rank import LowRank


def graph_to_adapt(model):
    """Return a functional model without inner models that computes what a model does, with its layers.

    Raises:
        ValueError: If the model is not a functional or sequential one.
    """
    graph = graph_of(model) if isinstance(model, keras.Model) and model.built else None
    if graph is None:
        raise ValueError(
            "`model` must be a functional or sequential `keras.Model`, built, whose `call` is Keras' own. "
            f"Received: model={model!r}"
        )
    return inlined(graph)


class Copies:
    """Copies of the layers of a graph, each made once, with adapters in some of them.

    Args:
        copies: Dictionary from paths, as `places` returns them, to numbers of pairs of matrices. Defaults to
            none.
        places: What `places` returns. Defaults to none.
        rank: As in `LowRank`. Defaults to 1.
        scale: As in `LowRank`. Defaults to 1.
        trained: Sequence of operations whose weights are trained. Defaults to `None`: as in the old graph.
    """

    def __init__(self, copies=None, places=None, rank=1, scale=1.0, trained=None):
        self.copies, self.places, self.rank, self.scale = copies or {}, places or {}, rank, scale
        self.trained = trained
        self.made = {}

    def numbers(self, operation):
        """Return the numbers of pairs of matrices in an operation, by their paths."""
        return {path: self.copies[path] for path in self.places.get(operation, []) if path in self.copies}

    def of(self, operation):
        """Return the copy of an operation; what has no weights and is no layer stays."""
        if not isinstance(operation, keras.layers.Layer):
            return operation
        if operation not in self.made:
            self.made[operation] = self._copy(operation)
        return self.made[operation]

    def _copy(self, layer):
        numbers = self.numbers(layer)
        new = built(layer) if numbers else type(layer).from_config(layer.get_config())
        if self.trained is not None:
            new.trainable = layer in self.trained
        if list(numbers) == [layer.name]:
            return LowRank(new, self.rank, numbers[layer.name], self.scale)
        if numbers:
            within = {path.removeprefix(f"{layer.name}/"): number for path, number in numbers.items()}
            return Adapted(new, within, self.rank, self.scale)
        return new

    def fill(self):
        """Give the copies that have no adapters what the old layers have learned; the others have it."""
        for old, new in self.made.items():
            if not isinstance(new, (LowRank, Adapted)):
                copy_state(old, new)


def built(layer):
    """Return a copy of a layer that has learned the same.

    Raises:
        ValueError: If it cannot be made before it is called.
    """
    new = type(layer).from_config(layer.get_config())
    new.build_from_config(layer.get_build_config())
    if len(new.weights) != len(layer.weights):
        raise ValueError(
            f"A layer with adapters within must have its weights after `build`: leave '{layer.name}' out by "
            f"`where`. Received: {len(new.weights)} weights of {len(layer.weights)}"
        )
    copy_state(layer, new)
    return new
