"""A linear layer with low-rank additions to its kernel."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.transfer._factors import factors_of, is_table


class Told:
    """What layers within a layer are told by it: which task is computed, or what the preferences are."""

    task = None
    preferences = None


@keras.saving.register_keras_serializable("mtl_zoo")
class LowRank(keras.layers.Layer):
    """Adds products of two small matrices, `scale * A B`, to the kernel of a linear layer.

    There may be several such pairs of matrices, one per task. `A` is drawn at random and `B` is 0, so that at
    first the layer does what it did. What is multiplied are the features, so that every example can have
    preferences of its own.

    Args:
        base: Built `Dense`, `EinsumDense`, `Embedding` or convolution (not grouped, not causal). Its
            activation comes after the addition.
        rank: Number of columns of `A`.
        copies: Number of pairs. Defaults to 1.
        scale: Factor of the products. Defaults to 1.
        activation: Activation. Defaults to `None`: that of `base`.

    Call arguments:
        inputs: As for `base`.
        task: Which pair is added, if there are several.
        preferences: Tensor `[batch, copies]` (or `[1, copies]`): all pairs are added with these weights.

    Raises:
        ValueError: If there are no such matrices for `base`, or a number is out of bounds.

    Example:

    >>> dense = keras.layers.Dense(3)
    >>> dense.build((None, 5))
    >>> layer = LowRank(dense, rank=2, copies=2)
    >>> x = np.ones((4, 5), "float32")
    >>> bool(np.all(layer(x, task=1) == dense(x))), len(layer.pairs), [tuple(v.shape) for v in layer.pairs[1]]
    (True, 2, [(5, 2), (2, 3)])
    """

    def __init__(self, base, rank, copies=1, scale=1.0, activation=None, **kwargs):
        super().__init__(**{"name": base.name, "dtype": base.dtype_policy, **kwargs})
        self.factors = factors_of(base)
        if self.factors is None:
            raise ValueError(
                "`base` must be a built Dense, EinsumDense, Embedding or convolution without groups. "
                f"Received: base={base!r}"
            )
        self.base = base
        self.rank = arguments.integer("rank", rank, 1, arguments.UNITS)
        self.copies = arguments.integer("copies", copies, 1, arguments.COPIES)
        self.scale = arguments.number("scale", scale)
        self.activation = keras.activations.get(activation or getattr(base, "activation", None))
        if hasattr(base, "activation"):
            base.activation = keras.activations.linear
        self.supports_masking, self.autocast = base.supports_masking, base.autocast
        self.told = Told()

    def build(self, input_shape=None):
        shapes = self.factors.shapes(self.rank)
        first = keras.initializers.RandomNormal(self.rank**-0.5) if is_table(self.base) else "he_uniform"
        self.pairs = []
        for index in range(self.copies):
            a = self.add_weight(name=f"a_{index}", shape=shapes[0], initializer=first)
            b = self.add_weight(name=f"b_{index}", shape=shapes[1], initializer="zeros")
            self.pairs.append((a, b))

    def call(self, inputs, task=None, preferences=None):
        task = self.told.task if task is None else task
        preferences = self.told.preferences if preferences is None else preferences
        outputs = self.base(inputs)
        for index in self._chosen(task, preferences):
            a, b = self.pairs[index]
            z = self.factors.down(inputs, a)
            if preferences is not None:
                z = z * _like(preferences[:, index], z)
            outputs = outputs + self.scale * ops.cast(self.factors.up(z, b), outputs.dtype)
        return self.activation(outputs)

    def _chosen(self, task, preferences):
        """Return the numbers of the pairs that are added."""
        if preferences is not None:
            return range(self.copies)
        return [0 if self.copies == 1 else task]

    def merged(self, task=None, preferences=None):
        """Return the kernel with the products added.

        Args:
            task: As in the call.
            preferences: Sequence of one weight per pair.
        """
        weights = dict.fromkeys(self._chosen(task, preferences), 1.0)
        if preferences is not None:
            weights = dict(enumerate(preferences))
        products = [weight * self.factors.product(*self.pairs[index]) for index, weight in weights.items()]
        return ops.convert_to_tensor(self.factors.kernel) + self.scale * sum(products)

    def compute_output_shape(self, inputs_shape):
        return self.base.compute_output_shape(inputs_shape)

    def compute_mask(self, inputs, previous_mask=None):
        return self.base.compute_mask(inputs, previous_mask)

    def get_config(self):
        return {
            **super().get_config(),
            "base": keras.saving.serialize_keras_object(self.base),
            "rank": self.rank,
            "copies": self.copies,
            "scale": self.scale,
            "activation": keras.activations.serialize(self.activation),
        }

    @classmethod
    def from_config(cls, config):
        """Return the layer that `get_config` described."""
        return cls(**{**config, "base": keras.saving.deserialize_keras_object(config["base"])})


def _like(vector, z):
    """Return one number per example in a shape that multiplies features."""
    return ops.cast(ops.reshape(vector, (-1, *[1] * (len(z.shape) - 1))), z.dtype)
