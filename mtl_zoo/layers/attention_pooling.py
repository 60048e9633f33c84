"""A mean of a list's vectors, with weights that are learned."""

import keras
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.items import mask_of


@keras.saving.register_keras_serializable("mtl_zoo")
class AttentionPooling(keras.layers.Layer):
    """Averages a list of vectors with weights that a small network finds, one vector after the other.

    The network has one hidden layer (tanh) and sees the vector; with a query also the query, their difference
    and their product. Its numbers become weights by a softmax over what is not masked. A list of padding
    alone becomes zeros.

    Args:
        units: Number of hidden units.

    Call arguments:
        x: List `[batch, length, channels]`.
        query: Optional tensor `[batch, channels]`.
        mask: Boolean tensor `[batch, length]`, false at padding. Defaults to the Keras mask of `x`.

    Returns:
        Tensor `[batch, channels]`.

    Raises:
        ValueError: If `units` is below 1.

    Example:

    >>> x, mask = np.ones((2, 3, 4)), np.array([[True, True, False], [False, False, False]])
    >>> AttentionPooling(8)(x, mask=mask).numpy()[:, 0]
    array([1., 0.], dtype=float32)

    Reference:
        [Yang et al., 2016](https://aclanthology.org/N16-1174); with a query [Zhou et al.,
        2018](https://arxiv.org/abs/1706.06978)

    Note:
        Zhou et al. do not normalize weights and have a network of more layers; with a softmax the length of a
        list does not matter.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = arguments.integer("units", units, 1, arguments.UNITS)
        self.supports_masking = True

    def build(self, x_shape, query_shape=None):
        """Create the network."""
        parts = 1 if query_shape is None else 4
        shape = (*x_shape[:-1], parts * x_shape[-1])
        self.hidden = layers.Dense(self.units, "tanh", dtype=self.dtype_policy, name="hidden")
        self.hidden.build(shape)
        self.score = layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self.score.build((*shape[:-1], self.units))

    def call(self, x, query=None, mask=None):
        """Return the average."""
        mask, seen = mask_of(x) if mask is None else mask, x
        if query is not None:
            query = ops.broadcast_to(ops.expand_dims(query, 1), ops.shape(x))
            seen = ops.concatenate([x, query, x - query, x * query], axis=-1)
        scores = ops.cast(self.score(self.hidden(seen)), "float32")
        there = ops.ones_like(scores) if mask is None else ops.expand_dims(ops.cast(mask, "float32"), -1)
        highest = ops.max(ops.where(there > 0, scores, -1e9), axis=1, keepdims=True, initial=-1e9)
        weights = there * ops.exp(ops.minimum(scores - highest, 0.0))
        weights = ops.divide_no_nan(weights, ops.sum(weights, axis=1, keepdims=True))
        return ops.sum(x * ops.cast(weights, x.dtype), axis=1)

    def compute_mask(self, *args, **kwargs):
        """Return no mask: positions are gone."""

    def compute_output_shape(self, x_shape, query_shape=None):
        """Return the shape without positions."""
        return (x_shape[0], x_shape[-1])
