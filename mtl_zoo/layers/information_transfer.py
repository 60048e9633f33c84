"""The adaptive information transfer module."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class InformationTransfer(keras.layers.Layer):
    """Weighs what comes from the task before against a task's own features, by self-attention.

    Of both vectors u, `w_u = softmax_u(<query(u), key(u)> / sqrt(channels))`; the result is
    `sum_u w_u * value(u)`.

    Call arguments:
        inputs: List of two tensors `[batch, channels]`: the transferred information, the own features.

    Returns:
        Tensor `[batch, channels]`.

    Raises:
        ValueError: If the two have different shapes.

    Example:

    >>> InformationTransfer()([np.ones((2, 4)), np.zeros((2, 4))]).shape
    TensorShape([2, 4])

    Reference:
        [Xi et al., 2021](https://arxiv.org/abs/2105.08489)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the linear maps."""
        if len({tuple(shape) for shape in input_shape}) > 1:
            raise ValueError(f"Both vectors must have the same shape. Received: {input_shape}")
        channels = input_shape[0][-1]
        for name in ("query", "key", "value"):
            setattr(self, name, self.add_weight((channels, channels), name=name))

    def call(self, inputs):
        """Return the attended features."""
        both = ops.stack(inputs, axis=1)
        query, key, value = (ops.matmul(both, kernel) for kernel in (self.query, self.key, self.value))
        scores = ops.sum(query * key, axis=-1) / both.shape[-1] ** 0.5
        return ops.sum(ops.softmax(scores, axis=1)[..., None] * value, axis=1)

    def compute_output_shape(self, input_shape):
        """Return the shape of a vector."""
        return input_shape[0]
