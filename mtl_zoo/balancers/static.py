"""A weighted sum of losses."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class Static(Balancer):
    """Sums the losses with constant weights.

    Args:
        weights: One non-negative number per task, in the order of the tasks.

    Raises:
        ValueError: If a weight is negative, or (when built) their number is not the number of tasks.

    Example:

    >>> float(Static([0.5, 2.0])(np.array([1.0, 2.0])))
    4.5

    Reference:
        [Caruana, 1997](https://doi.org/10.1023/A:1007379606734)
    """

    def __init__(self, weights, **kwargs):
        super().__init__(**kwargs)
        self.task_weights = arguments.numbers("weights", weights, least=0)

    def build(self, losses_shape):
        arguments.per_task("weights", self.task_weights, losses_shape[0])

    def combine(self, losses, present):
        return ops.sum(present * ops.convert_to_tensor(self.task_weights, losses.dtype) * losses)
