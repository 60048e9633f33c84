"""A weighted sum of task gradients."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator, num_tasks


@keras.saving.register_keras_serializable("mtl_zoo")
class Constant(Aggregator):
    """Sums the task gradients with constant weights.

    Unlike the balancer `Static`, which weighs the losses, it leaves the parameters of single tasks alone.
    As there, the variable `task_weights` holds the weights, and may be assigned while training.

    Args:
        weights: One non-negative number per task, in the order of the tasks: what `task_weights` starts at.

    Raises:
        ValueError: If a weight is negative, or (when built) their number is not the number of tasks.

    Example:

    >>> Constant([0.5, 2.0])(np.array([[1.0, 0.0], [1.0, 2.0]])).numpy()
    array([2.5, 4. ], dtype=float32)
    """

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.start = arguments.numbers("weights", weights, least=0)

    def build(self, jacobian_shape):
        arguments.per_task("weights", self.start, num_tasks(jacobian_shape))
        self.task_weights = self.add_weight(
            name="task_weights",
            shape=(len(self.start),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.start, dtype),
            trainable=False,
        )

    def call(self, jacobian, losses=None, present=None):
        return keras.tree.map_structure(lambda block: ops.matmul(self.task_weights, block), jacobian)
