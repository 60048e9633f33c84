"""The shortest vector in the convex hull of the task gradients."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import PreferenceAggregator, num_tasks
from mtl_zoo.numerics import solvers
from mtl_zoo.numerics.preferences import task_shares

LARGEST_SUM = 1.0 + 1e-6  # of smallest weights, which may be thirds


@keras.saving.register_keras_serializable("mtl_zoo")
class MGDA(PreferenceAggregator):
    """Multiple-gradient descent: the convex combination of the task gradients with the smallest norm.

    A small step against it lowers every loss, until it is zero: a Pareto-stationary point. That holds for the
    gradients it is given: those of the shared variables or, with `space="representation"`, those of the
    features, while what the layers before them get may still oppose a task. It is short where one gradient
    is, so balance losses of different scale first (for instance with a logarithm).

    Args:
        preferences: Positive numbers, one per task, that multiply the losses: the direction is that of the
            scaled gradients, along which all the scaled losses in use fall alike. So a task with twice the
            preference falls half as fast. Defaults to `None`: all 1.
        min_weights: Non-negative numbers of sum at most 1, one per task, or one number for all: what its
            weight in the convex combination must not be below. Then the combination with the smallest norm
            of those left may raise losses. Defaults to `None`: 0.

    Raises:
        ValueError: If a preference is not positive, a smallest weight is negative or their sum above 1, or
            (when built) there is not one per task.

    Example:

    >>> MGDA()(np.array([[2.0, 0.0], [0.0, 1.0]])).numpy().round(4)
    array([0.4, 0.8], dtype=float32)
    >>> MGDA(min_weights=[0.5, 0.0])(np.array([[2.0, 0.0], [0.0, 1.0]])).numpy().round(4)
    array([1. , 0.5], dtype=float32)

    Reference:
        [Désidéri, 2012](https://doi.org/10.1016/j.crma.2012.03.014),
        [Sener & Koltun, 2018](https://arxiv.org/abs/1810.04650);
        `min_weights`: [Lin et al., 2019](https://doi.org/10.1145/3298689.3346998)

    Note:
        Sener & Koltun find the weights by Frank-Wolfe, to about 1%; here they are exact (see
        `mtl_zoo.numerics.solvers.min_norm`). Lin et al. (PE-LTR) solve the problem without the bounds and
        project its solution on them; here the bounds are part of it. That of an absent task does not count.
    """

    def __init__(self, preferences=None, min_weights=None, **kwargs):
        super().__init__(preferences, **kwargs)
        self.min_weights = _bounds(min_weights)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        size = num_tasks(jacobian_shape)
        alike = isinstance(self.min_weights, float)
        self.bounds = [self.min_weights] * size if alike else self.min_weights
        arguments.per_task("min_weights", self.bounds, size)
        if self.bounds is not None and sum(self.bounds) > LARGEST_SUM:
            raise ValueError(
                "`min_weights` must have a sum of at most 1 over the tasks. "
                f"Received: min_weights={self.min_weights} of {size} tasks"
            )

    def compute_weights(self, gramian, losses, present):
        scale = 1.0
        if self.preferences is not None:
            scale = task_shares(self.preferences, gramian.shape[0], dtype=gramian.dtype)
            gramian = gramian * scale * scale[:, None]
        if self.bounds is None:
            return scale * solvers.min_norm(gramian, present)
        least = ops.convert_to_tensor(self.bounds, gramian.dtype)
        return scale * solvers.min_norm_above(gramian, least, present)


def _bounds(min_weights):
    """Return the smallest weights as one float, a list of floats, or `None`."""
    if min_weights is None:
        return None
    try:
        return arguments.number("min_weights", min_weights, least=0, most=1)
    except ValueError:
        return arguments.numbers("min_weights", min_weights, least=0)
