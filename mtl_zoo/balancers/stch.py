"""The smooth maximum of the losses."""

import keras
from keras import ops

from mtl_zoo import _masked, arguments
from mtl_zoo.balancers.base import Balancer


@keras.saving.register_keras_serializable("mtl_zoo")
class STCH(Balancer):
    """Takes the smooth maximum of the losses: `mu * log(sum(exp(w * (losses - reference) / mu)))`.

    Smooth Tchebycheff scalarization: training goes mostly to the task that is worst after weighting, and any
    trade-off between the tasks, also where the Pareto front is not convex, is the minimum for some `w`.

    Args:
        mu: Smoothing. As it falls to 0, the scalar becomes the maximum; large values weight like `w`.
            Defaults to 1.
        reference: One number per task: the losses one would be content with. Defaults to 0 for all.
        preferences: One non-negative number per task, the weights `w`. Defaults to 1 divided by the
            number of present tasks.

    Raises:
        ValueError: If `mu` is not positive, `preferences` has a negative entry or no positive one, or (when
            built) there is not one number per task.

    Example:

    >>> losses = np.array([1.0, 3.0])
    >>> round(float(STCH(mu=0.01, preferences=[1.0, 1.0])(losses)), 5)
    3.0

    Reference:
        [Lin et al., 2024](https://arxiv.org/abs/2402.19078)

    Note:
        The authors' code first warms up and divides the losses by their means of that time. Here
        `preferences` can do so.
    """

    def __init__(self, mu=1.0, reference=None, preferences=None, **kwargs):
        super().__init__(**kwargs)
        self.mu = arguments.number("mu", mu, above=0)
        self.reference = None if reference is None else arguments.numbers("reference", reference)
        self.preferences = arguments.preferences(preferences)

    def build(self, losses_shape):
        self.ideal = arguments.per_task("reference", self.reference, losses_shape[0], 0.0)
        self.direction = arguments.per_task("preferences", self.preferences, losses_shape[0], 1.0)

    def combine(self, losses, present):
        ideal, direction = (ops.convert_to_tensor(x, losses.dtype) for x in (self.ideal, self.direction))
        if self.preferences is None:
            direction = direction / ops.maximum(ops.sum(present), 1.0)
        return self.mu * _masked.logsumexp(direction * (losses - ideal) / self.mu, present)
