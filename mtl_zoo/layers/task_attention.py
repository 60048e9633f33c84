"""Attention over tasks at every position and channel."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mtl_zoo")
class TaskAttention(keras.layers.Layer):
    """Weighs the features of T tasks by a softmax over the tasks: `y_t = softmax_t(scores) * x_t`.

    Call arguments:
        inputs: List of T tensors of scores, then of T tensors of features, all of one shape.

    Returns:
        List of T tensors of that shape.

    Example:

    >>> scores, features = [np.zeros((1, 2))] * 2, [np.ones((1, 2)), np.full((1, 2), 4.0)]
    >>> [float(x[0, 0]) for x in TaskAttention()([*scores, *features])]
    [0.5, 2.0]

    Reference:
        [Vandenhende et al., 2020](https://arxiv.org/abs/2001.06902)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        """Return the weighted features."""
        number = len(inputs) // 2
        weights = ops.unstack(ops.softmax(ops.stack(inputs[:number], axis=0), axis=0))
        return [weight * x for weight, x in zip(weights, inputs[number:], strict=True)]

    def compute_mask(self, inputs, mask=None):
        """Return the masks of the features."""
        return None if mask is None else mask[len(mask) // 2 :]

    def compute_output_shape(self, input_shape):
        """Return the shapes of the features."""
        return input_shape[len(input_shape) // 2 :]
