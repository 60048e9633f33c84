"""Penalty-based boundary intersection."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer

ROUNDING = 1e-12  # of a squared length, relative to that of the losses


@keras.saving.register_keras_serializable("mtl_zoo")
class PBI(Balancer):
    """Drives the losses down along a preferred direction: the scalar is `d1 + theta * d2`.

    `d1` is the distance of the losses from `reference` along the direction `preferences`, and `d2` their
    distance from that ray. The larger `theta`, the more exactly the losses end in the ratio of `preferences`,
    whatever the shape of the Pareto front. A loss that is small for its preference has a negative weight.

    Args:
        preferences: One non-negative number per task, of which only the ratios matter: the ratios that the
            losses should have. Defaults to equal ones.
        theta: Penalty for leaving the ray. Defaults to 5, as in the paper.
        reference: One number per task: the losses at the start of the ray. Defaults to 0 for all.

    Raises:
        ValueError: If `preferences` has a negative entry or no positive one, `theta` is negative, or (when
            built) there is not one number per task.

    Example:

    >>> balancer = PBI(preferences=[3.0, 4.0], theta=2.0)
    >>> float(balancer(np.array([3.0, 4.0])))  # on the ray
    5.0
    >>> round(float(balancer(np.array([4.0, -3.0]) + np.array([3.0, 4.0]))), 5)  # 5 off the ray
    15.0

    Reference:
        [Zhang and Li, 2007](https://doi.org/10.1109/TEVC.2007.892759)

    Note:
        The paper takes the absolute value of `d1`, which is the same as long as the losses are above
        `reference`. On the ray, where `d2` has no derivative, its derivative is taken to be 0.
    """

    def __init__(self, preferences=None, theta=5.0, reference=None, **kwargs):
        super().__init__(**kwargs)
        self.preferences = arguments.preferences(preferences)
        self.theta = arguments.number("theta", theta, least=0)
        self.reference = None if reference is None else arguments.numbers("reference", reference)

    def build(self, losses_shape):
        self.ideal = arguments.per_task("reference", self.reference, losses_shape[0], 0.0)
        self.direction = arguments.per_task("preferences", self.preferences, losses_shape[0], 1.0)

    def combine(self, losses, present):
        ideal, direction = (ops.convert_to_tensor(x, losses.dtype) for x in (self.ideal, self.direction))
        excess, direction = present * (losses - ideal), present * direction
        unit = ops.divide_no_nan(direction, ops.norm(direction))
        along = ops.sum(excess * unit)
        return along + self.theta * _norm(excess - along * unit, ROUNDING * ops.sum(ops.square(excess)))


def _norm(vector, rounding):
    """Return the Euclidean norm, which is 0, as its derivative, where its square is at most `rounding`."""
    squared = ops.sum(ops.square(vector))
    is_positive = squared > rounding
    return ops.where(is_positive, ops.sqrt(ops.where(is_positive, squared, 1.0)), 0.0)
