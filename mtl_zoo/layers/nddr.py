"""Neural discriminative dimensionality reduction."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class NDDR(keras.layers.Layer):
    """Concatenates the channels of T towers and reduces them, for each tower, by a linear map of its own.

    This is the paper's 1x1 convolution, for features of any rank. The map starts at `diagonal` times the
    tower's own channels plus `(1 - diagonal) / (T - 1)` times those of each other one.

    Args:
        diagonal: Initial weight of a tower's own channels. Defaults to 0.9.

    Call arguments:
        towers: List of T tensors of one shape `[batch, ..., channels]`.

    Returns:
        List of T tensors of the same shape.

    Raises:
        ValueError: If the tensors' shapes differ.

    Example:

    >>> left, right = NDDR()([np.ones((1, 3)), np.zeros((1, 3))])
    >>> np.round([left[0, 0], right[0, 0]], 3)
    array([0.9, 0.1], dtype=float32)

    Reference:
        [Gao et al., 2019](https://arxiv.org/abs/1801.08297)
    """

    def __init__(self, diagonal=0.9, **kwargs):
        super().__init__(**kwargs)
        self.diagonal = diagonal
        self.supports_masking = True

    def build(self, input_shape):
        """Create the kernel `[T, T * channels, channels]`."""
        if len({tuple(shape) for shape in input_shape}) > 1:
            raise ValueError(f"All towers must have the same shape. Received: {input_shape}")
        num_towers, channels = len(input_shape), input_shape[0][-1]
        weights = np.full((num_towers, num_towers), (1.0 - self.diagonal) / max(num_towers - 1, 1))
        np.fill_diagonal(weights, self.diagonal if num_towers > 1 else 1.0)
        kernel = np.stack([np.kron(row[:, np.newaxis], np.eye(channels)) for row in weights])
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(kernel, dtype),
        )

    def call(self, towers):
        """Return the reduced features of each tower."""
        together = ops.concatenate(towers, axis=-1)
        return [ops.matmul(together, kernel) for kernel in ops.unstack(self.kernel)]

    def compute_output_shape(self, input_shape):
        """Return the towers' shapes."""
        return input_shape
