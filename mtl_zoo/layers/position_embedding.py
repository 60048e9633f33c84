"""Learned positions of a sequence."""

import keras

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector per position.

    Args:
        max_length: Largest length of a sequence.

    Call arguments:
        x: Sequence `[batch, length, channels]`, of at most `max_length`.

    Returns:
        Tensor of the same shape.

    Example:

    >>> PositionEmbedding(8)(np.zeros((2, 5, 4))).shape
    TensorShape([2, 5, 4])

    Reference:
        [Devlin et al., 2019](https://arxiv.org/abs/1810.04805)
    """

    def __init__(self, max_length, **kwargs):
        super().__init__(**kwargs)
        self.max_length = arguments.integer("max_length", max_length, 1, arguments.ENTRIES)
        self.supports_masking = True

    def build(self, input_shape):
        """Create a vector for each position."""
        shape = (self.max_length, input_shape[-1])
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.positions = self.add_weight(shape, initializer, name="positions")

    def call(self, x):
        """Return the sequence with its positions."""
        return x + self.positions[: keras.ops.shape(x)[1]]

    def compute_output_shape(self, input_shape):
        """Return the shape of the sequence."""
        return input_shape
