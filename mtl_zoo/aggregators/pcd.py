"""The gradient of a primary task, turned until every other task gains too."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _primary
from mtl_zoo.aggregators.base import GramianAggregator, num_tasks
from mtl_zoo.numerics import margins, masked


@keras.saving.register_keras_serializable("mtl_zoo")
class PCD(GramianAggregator):
    """Primary task with constraints: the direction nearest to its gradient that serves every other task.

    All gradients are divided by the root of a moving average of their squared lengths. The direction `d` is
    the nearest to that of the primary task for which each other one, `h`, has `h @ d >= tau * h @ h`; it gets
    the length of the primary task's gradient. So the other tasks turn the step and never lengthen it.

    Args:
        primary: Index or name of the primary task. Names are for a `Trainer`. Defaults to 0, the first.
        tau: How much each other task must gain, as a part of what its own gradient would give. Defaults to
            0.02, the paper's.
        beta: Weight of the past in the averages, at least 0 and below 1, without the bias of their start at
            0. Defaults to 0.999, the paper's.
        epsilon: Non-negative number, added to the averages. Defaults to 1e-8, which is ours.

    Raises:
        ValueError: If an argument is out of bounds, or (when built) there is no such task.

    Example:

    >>> PCD(tau=0.5)(np.array([[3.0, 0.0], [0.0, 0.1]])).numpy().round(3)  # (1, 0.5), as long as (3, 0)
    array([2.683, 1.342], dtype=float32)

    Reference:
        TMLR, 2026

    Note:
        No direction serves tasks whose gradients cancel out, as two other tasks with opposite ones; then,
        and where it is too short to be known in float32, the direction is the primary task's gradient. The
        primary task has no constraint of its own: against a gradient opposite to it the direction turns
        round. In a batch without its labels the direction is the shortest that meets the constraints, times
        the root of the primary task's average. A layer that only other tasks share moves as far as their
        constraints ask, which may be not at all. A zero gradient is no constraint.
    """

    def __init__(self, primary=0, tau=0.02, beta=0.999, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.primary = _primary.checked(primary)
        self.tau = arguments.number("tau", tau, least=0)
        self.beta = arguments.number("beta", beta, least=0, below=1)
        self.epsilon = arguments.number("epsilon", epsilon, least=0)

    def for_tasks(self, names):
        """Find the primary task among the names of all."""
        self.primary = _primary.place(self.primary, names)

    def get_config(self):
        """Return the arguments; the primary task by its index once that is known."""
        given = {"primary": self.primary, "tau": self.tau, "beta": self.beta, "epsilon": self.epsilon}
        return super().get_config() | given

    def build(self, jacobian_shape):
        _primary.check_place(self.primary, num_tasks(jacobian_shape))
        super().build(jacobian_shape)
        self.squares = self.add_task_weights("squares", jacobian_shape, 0.0)
        self.steps = self.add_task_weights("steps", jacobian_shape, 0.0)

    def compute_weights(self, gramian, losses, present):
        present = masked.everyone(present, gramian.shape[0])
        squares = self._average(ops.maximum(ops.diagonal(gramian), 0.0), present) + self.epsilon
        scale = ops.rsqrt(ops.where(squares > 0, squares, 1.0))
        return margins.nearest_with_margins(gramian, scale, self.primary, self.tau, present)

    def _average(self, latest, present):
        """Move the averages of the present tasks, as if they had started at the first of what they saw."""
        self.steps.assign_add(ops.cast(present, self.steps.dtype))
        steps = ops.maximum(ops.cast(self.steps, "float64"), 1.0)
        rate = ops.cast((1.0 - self.beta) / (1.0 - self.beta**steps), latest.dtype)
        squares = ops.where(present, self.squares + rate * (latest - self.squares), self.squares)
        self.squares.assign(squares)
        return squares
