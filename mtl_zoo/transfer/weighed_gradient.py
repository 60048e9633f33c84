"""A task's output, whose gradient counts as much as the task does."""

import keras
from keras import ops

from mtl_zoo import arguments


@keras.saving.register_keras_serializable("mtl_zoo")
class WeighedGradient(keras.layers.Layer):
    """Returns its input; on the way back, the gradient of every example is multiplied by its preference.

    So the sum of the tasks' losses has the gradient of the sum weighted by preferences, whoever trains the
    model, and the losses in the logs are the tasks' own.

    Args:
        task: Number of the task among the preferences.

    Call arguments:
        inputs: Tensor `[batch, ...]`.
        preferences: Tensor `[batch, tasks]`.

    Raises:
        ValueError: If `task` is no index.

    Example:

    >>> x = keras.Variable([[1.0], [2.0]])
    >>> with tf.GradientTape() as tape:
    ...     y = WeighedGradient(1)(x, np.array([[0.75, 0.25], [0.0, 1.0]], "float32"), training=True)
    >>> y.numpy().ravel(), tape.gradient(y, x.value).numpy().ravel()
    (array([1., 2.], dtype=float32), array([0.25, 1.  ], dtype=float32))
    """

    def __init__(self, task, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.task = arguments.integer("task", task, 0)
        self.supports_masking = True

    def build(self, inputs_shape):
        pass  # or Keras would look for a shape of the preferences too

    def call(self, inputs, preferences, training=False):
        if not training:
            return inputs
        fixed = ops.stop_gradient(inputs)
        weight = ops.reshape(preferences[:, self.task], (-1, *[1] * (len(inputs.shape) - 1)))
        return fixed + weight * (inputs - fixed)

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask
