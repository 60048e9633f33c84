"""A weighted sum of losses."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class Static(Balancer):
    """Sums the losses with constant weights.

    The weights are in the variable `task_weights`: `balancer.task_weights.assign([1.0, 0.5])` changes them
    from the next step on, between calls of `fit` or in a callback, and checkpoints keep them.

    Args:
        weights: One non-negative number per task, in the order of the tasks: what `task_weights` starts at.

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
        self.start = arguments.numbers("weights", weights, least=0)

    def build(self, losses_shape):
        arguments.per_task("weights", self.start, losses_shape[0])
        self.task_weights = self.add_weight(
            name="task_weights",
            shape=(len(self.start),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(self.start, dtype),
            trainable=False,
        )

    @property
    def constant_weights(self):
        """The weights of the losses, `[T]`."""
        return self.task_weights.value

    def combine(self, losses, present):
        return ops.sum(present * self.task_weights * losses)
