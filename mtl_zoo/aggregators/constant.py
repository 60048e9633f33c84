"""A weighted sum of task gradients."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator, num_tasks


@keras.saving.register_keras_serializable("mtl_zoo")
class Constant(Aggregator):
    """Sums the task gradients with constant weights.

    Unlike the balancer `Static`, which weighs the losses, it leaves the parameters of single tasks alone.

    Args:
        weights: One non-negative number per task, in the order of the tasks.

    Raises:
        ValueError: If a weight is negative, or (when built) their number is not the number of tasks.

    Example:

    >>> Constant([0.5, 2.0])(np.array([[1.0, 0.0], [1.0, 2.0]])).numpy()
    array([2.5, 4. ], dtype=float32)
    """

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.task_weights = arguments.numbers("weights", weights, least=0)

    def build(self, jacobian_shape):
        arguments.per_task("weights", self.task_weights, num_tasks(jacobian_shape))

    def call(self, jacobian, losses=None, present=None):
        weights = ops.convert_to_tensor(self.task_weights, self.compute_dtype)
        return keras.tree.map_structure(lambda block: ops.matmul(weights, block), jacobian)
