"""The mean of the task gradients."""

import keras
from keras import ops

from mtl_zoo.aggregators.base import Aggregator, num_tasks


@keras.saving.register_keras_serializable("mtl_zoo")
class Mean(Aggregator):
    """Averages the task gradients: the gradient of the mean loss.

    The mean is over all T tasks, whether present in the batch or not, and whether they reach a parameter or
    not: a task that does not depend on it has gradient zero. The gradients of heads are not divided by T.

    Example:

    >>> Mean()(np.array([[1.0, 0.0], [1.0, 2.0]])).numpy()
    array([1., 1.], dtype=float32)
    """

    def build(self, jacobian_shape):
        self.task_weights = 1.0 / num_tasks(jacobian_shape)

    def call(self, jacobian, losses=None, present=None):
        return keras.tree.map_structure(lambda block: ops.mean(block, axis=0), jacobian)
