"""Self-attention that leaves the mask of its input alone."""

import keras
from keras import layers, ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class SelfAttention(keras.layers.Layer):
    """Attends from every position of a sequence to all that are not masked.

    This is `keras.layers.MultiHeadAttention` of a sequence with itself. That layer takes the mask off the
    tensor it is given, and whatever else reads the tensor (a gate, another expert) would see padding; this
    one gives it a copy.

    Args:
        num_heads: Number of heads, which must divide the channels.
        dropout: Fraction of attention weights dropped in training. Defaults to 0.

    Call arguments:
        x: Sequence `[batch, length, channels]`.
        mask: Boolean tensor `[batch, length]`, false at padding. Defaults to the Keras mask of `x`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> SelfAttention(num_heads=2)(np.zeros((2, 5, 4))).shape
    TensorShape([2, 5, 4])

    Reference:
        [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762)
    """

    def __init__(self, num_heads, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = arguments.integer("num_heads", num_heads, 1, arguments.UNITS)
        self.dropout = arguments.number("dropout", dropout, least=0, below=1)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the attention."""
        size = input_shape[-1] // self.num_heads
        self.attention = layers.MultiHeadAttention(
            self.num_heads, size, dropout=self.dropout, dtype=self.dtype_policy, name="attention"
        )
        self.attention.build(input_shape, input_shape)

    def call(self, x, mask=None, training=None):
        """Return the attended sequence."""
        if mask is not None:
            mask = ops.expand_dims(ops.cast(mask, "bool"), axis=1)
        x = ops.copy(x)
        return self.attention(x, x, attention_mask=mask, training=training)

    def compute_output_shape(self, input_shape):
        """Return the shape of the sequence."""
        return input_shape
