"""The gate by which experts of one kind choose their features."""

import keras
from keras import layers, ops

from mtl_zoo import arguments
from mtl_zoo.layers.sequence_average import average


@keras.saving.register_keras_serializable("mtl_zoo")
class FeatureGate(keras.layers.Layer):
    """Scales channels by several gates of low rank, mixed per example.

    With the average v of the features, `x * sum_l softmax(v W)_l * 2 sigmoid(v B_l A_l)`.

    Args:
        rank: Number of columns of every B, and of rows of every A. Defaults to 8.
        num_gates: Number of pairs of B and A; of a single one, there is no W. Defaults to 2.

    Call arguments:
        x: Tensor `[batch, ..., channels]`, averaged over all axes between.
        mask: Boolean tensor `[batch, ...]`, false at positions to leave out of the average. Defaults to the
            Keras mask of `x`.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> FeatureGate(rank=2)(np.zeros((3, 7, 16))).shape
    TensorShape([3, 7, 16])

    Reference:
        [Wang et al., 2024](https://arxiv.org/abs/2408.05430)
    """

    def __init__(self, rank=8, num_gates=2, **kwargs):
        super().__init__(**kwargs)
        self.rank = arguments.integer("rank", rank, 1, arguments.UNITS)
        self.num_gates = arguments.integer("num_gates", num_gates, 1, arguments.COPIES)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the linear layers."""
        channels = input_shape[-1]
        self.choose = self._dense(channels, self.num_gates, "choose") if self.num_gates > 1 else None
        self.down = [self._dense(channels, self.rank, f"down_{i}") for i in range(self.num_gates)]
        self.up = [self._dense(self.rank, channels, f"up_{i}") for i in range(self.num_gates)]

    def _dense(self, size, units, name):
        layer = layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)
        layer.build((None, size))
        return layer

    def call(self, x, mask=None):
        """Return the scaled tensor."""
        summary = average(x, mask) if len(x.shape) > 2 else x
        scales = [2.0 * ops.sigmoid(up(down(summary))) for down, up in zip(self.down, self.up, strict=True)]
        gate = self._mix(summary, scales)
        return x * ops.reshape(gate, (-1, *[1] * (len(x.shape) - 2), x.shape[-1]))

    def _mix(self, summary, scales):
        if self.choose is None:
            return scales[0]
        shares = ops.softmax(self.choose(summary), axis=-1)
        return sum(shares[:, index : index + 1] * scale for index, scale in enumerate(scales))

    def compute_output_shape(self, input_shape):
        """Return the shape of the tensor."""
        return input_shape
