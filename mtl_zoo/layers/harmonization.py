"""The choice of one task's features over another's, per channel."""

import keras
from keras import ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class Harmonization(keras.layers.Layer):
    """Weighs the features of T tasks by a softmax over the tasks, for every channel and position.

    Args:
        num_tasks: T.

    Call arguments:
        inputs: List of two tensors `[batch, ..., T * channels]`: scores, and the tasks' features one after
            the other.

    Returns:
        Tensor `[batch, ..., T * channels]`.

    Raises:
        ValueError: If the two have different shapes, or T does not divide the last axis.

    Example:

    >>> scores, features = np.log([[1.0, 1.0, 3.0, 1.0]]), np.array([[8.0, 8.0, 8.0, 8.0]])
    >>> Harmonization(num_tasks=2)([scores, features]).numpy().round(4)
    array([[2., 4., 6., 4.]], dtype=float32)

    Reference:
        [Vandenhende et al., 2020](https://arxiv.org/abs/2001.06902)
    """

    def __init__(self, num_tasks, **kwargs):
        super().__init__(**kwargs)
        self.num_tasks = arguments.integer("num_tasks", num_tasks, 1, arguments.COPIES)
        self.supports_masking = True

    def build(self, input_shape):
        """Check the shapes."""
        scores, features = input_shape
        if tuple(scores) != tuple(features) or features[-1] % self.num_tasks:
            raise ValueError(
                f"Scores and features must have one shape, whose last axis {self.num_tasks} tasks share. "
                f"Received: {tuple(scores)} and {tuple(features)}"
            )

    def call(self, inputs):
        """Return the weighted features."""
        scores, features = inputs
        shape = ops.shape(features)
        scores = ops.reshape(scores, (*shape[:-1], self.num_tasks, shape[-1] // self.num_tasks))
        return ops.reshape(ops.softmax(scores, axis=-2), shape) * features

    def compute_output_shape(self, input_shape):
        """Return the shape of the features."""
        return input_shape[1]
