"""A layer made of layers, some of which have low-rank additions to their kernels."""

import json

import keras

from mtl_zoo.transfer._factors import factors_of
from mtl_zoo.transfer.low_rank import LowRank, Told


@keras.saving.register_keras_serializable("mtl_zoo")
class Adapted(keras.layers.Layer):
    """Computes what a layer does, with `LowRank` in place of some of the linear layers within it.

    So the projections of attention and whole blocks of a transformer are adapted, though they are no linear
    layers themselves.

    Args:
        base: Built layer, which is changed.
        copies: Dictionary from the paths of the layers within to the number of their pairs of matrices.
        rank: As in `LowRank`.
        scale: As in `LowRank`. Defaults to 1.

    Call arguments:
        *args: As for `base`.
        task: As in `LowRank`.
        preferences: As in `LowRank`.
        **kwargs: As for `base`.

    Raises:
        ValueError: If there are no such layers in `base`.

    Example:

    >>> attention = keras.layers.MultiHeadAttention(2, 4)
    >>> attention.build((None, 5, 8), (None, 5, 8))
    >>> layer = Adapted(attention, {"query": 1, "value": 2}, rank=1)
    >>> x = np.ones((1, 5, 8), "float32")
    >>> layer(x, x, task=1).shape, sum("a_" in v.name for v in layer.variables)
    (TensorShape([1, 5, 8]), 3)
    """

    def __init__(self, base, copies, rank, scale=1.0, **kwargs):
        super().__init__(**{"name": base.name, "dtype": base.dtype_policy, **kwargs})
        self.given = json.dumps([keras.saving.serialize_keras_object(base), dict(copies)])
        self.base, self.rank, self.scale = base, rank, scale
        self.supports_masking, self.autocast = base.supports_masking, base.autocast
        self.told = Told()
        self.told.parts = list(base._flatten_layers())  # as they were, in their order
        self.told.adapters = {}
        if (
            not base.trainable
        ):  # comes from a file, where the layers within are trainable; Keras sees changes alone
            base.trainable = True
            base.trainable = False
        places = {path: place for path, *place in within(base)}
        wrong = sorted(set(copies) - set(places))
        if wrong or not copies:
            raise ValueError(f"`copies` must be of layers in {list(places)}. Received: copies={copies}")
        for path, number in copies.items():
            self._adapt(*places[path], number)

    def _adapt(self, container, leaf, number):
        """Put an adapter in the place of a layer."""
        adapter = LowRank(leaf, self.rank, number, self.scale)
        adapter.build()
        adapter.told = self.told
        self.told.adapters[id(leaf)] = adapter
        _replace(container, leaf, adapter)

    def call(self, *args, task=None, preferences=None, **kwargs):
        self.told.task, self.told.preferences = task, preferences
        try:
            return self.base(*args, **kwargs)
        finally:
            self.told.task = self.told.preferences = None

    def compute_mask(self, inputs, previous_mask=None):
        return self.base.compute_mask(inputs, previous_mask)

    def plain(self, name):
        """Return a new layer as `base` was given, and pairs of a layer in it and what stood there here."""
        given = json.loads(self.given)[0]
        given["config"] |= {"name": name, "trainable": True}
        new = keras.saving.deserialize_keras_object(given)
        return new, list(zip(new._flatten_layers(), self.told.parts, strict=True))

    def get_config(self):
        base, copies = json.loads(self.given)
        return {
            **super().get_config(),
            "base": base,
            "copies": copies,
            "rank": self.rank,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config):
        """Return the layer that `get_config` described."""
        return cls(**{**config, "base": keras.saving.deserialize_keras_object(config["base"])})


def within(layer, prefix=""):
    """Yield the path of every layer within a layer that can be adapted, what holds it, and the layer."""
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        path = f"{prefix}{inner.name}"
        if factors_of(inner) is None:
            yield from within(inner, f"{path}/")
        elif any(value is inner for value in vars(layer).values()):
            yield path, layer, inner


def _replace(container, old, new):
    """Let a built layer have another layer where it had one."""
    container._tracker.unlock()
    container._layers.remove(old)
    for name in [name for name, value in vars(container).items() if value is old]:
        setattr(container, name, new)
    container._tracker.lock()
