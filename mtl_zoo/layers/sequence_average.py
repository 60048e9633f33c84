"""The average of a sequence over its positions."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class SequenceAverage(keras.layers.Layer):
    """Averages a sequence over the positions that are not masked; one of padding alone is zeros.

    This is `keras.layers.GlobalAveragePooling1D`, which divides by zero where all is masked.

    Call arguments:
        x: Sequence `[batch, length, channels]`.
        mask: Boolean tensor `[batch, length]`, false at padding. Defaults to the Keras mask of `x`.

    Returns:
        Tensor `[batch, channels]`.

    Example:

    >>> x, mask = np.array([[[2.0], [4.0]], [[2.0], [4.0]]]), np.array([[True, False], [False, False]])
    >>> SequenceAverage()(x, mask=mask).numpy()
    array([[2.],
           [0.]], dtype=float32)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        """Return the average."""
        return average(x, mask)

    def compute_mask(self, inputs, mask=None):
        """Return no mask: positions are gone."""

    def compute_output_shape(self, input_shape):
        """Return the shape without positions."""
        return (input_shape[0], input_shape[-1])


def average(x, mask=None):
    """Average over all axes but the first and the last, of which there is one at least.

    Args:
        x: Tensor `[batch, ..., channels]`.
        mask: Optional boolean tensor `[batch, ...]`, false at what to leave out. Zeros remain where nothing
            else is left.
    """
    axes = tuple(range(1, len(x.shape) - 1))
    if mask is None:
        return ops.mean(x, axis=axes)
    mask = ops.expand_dims(ops.cast(mask, "bool"), axis=-1)
    number = ops.sum(ops.cast(mask, x.dtype), axis=axes)
    return ops.sum(ops.where(mask, x, 0), axis=axes) / ops.maximum(number, 1)
