"""The smooth maximum of the losses."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers._solved import unsolved
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class STCH(Balancer):
    """Takes the smooth maximum of the losses: `mu * log(sum(exp(w * (losses - reference) / mu)))`.

    Smooth Tchebycheff scalarization: training goes mostly to the task that is worst after weighting, and any
    trade-off between the tasks, also where the Pareto front is not convex, is the minimum for some `w`.

    Args:
        mu: Smoothing. As it falls to 0, the scalar becomes the maximum; large values weight like `w`.
            Defaults to 1, as in LibMTL.
        reference: One number per task: the losses one would be content with. Defaults to 0 for all.
        preferences: One non-negative number per task, the weights `w`. Defaults to 1 divided by the
            number of present tasks.
        nadir: One positive number per task, its loss at the worst, in place of the two above: the form of
            the authors' code for networks, `T * mu * log(sum(exp(log(losses / nadir) / mu)))` over the T
            present tasks, which does not depend on the losses' scales. Losses must then not be negative, and
            a task whose loss is below 1e-12 is left out. Defaults to `None`: the form of the paper.

    Raises:
        ValueError: If `mu` is not positive, `preferences` has a negative entry or no positive one, or (when
            built) there is not one number per task; or if there is a `nadir` that is not positive, or one
            beside `reference` or `preferences`.

    Example:

    >>> losses = np.array([1.0, 3.0])
    >>> round(float(STCH(mu=0.01, preferences=[1.0, 1.0])(losses)), 5)
    3.0

    Reference:
        [Lin et al., 2024](https://arxiv.org/abs/2402.19078)

    Note:
        The authors' code first trains on the sum of the losses' logarithms for four epochs, and takes the
        mean losses of the last of them for the `nadir`: here, do so with `Logarithm` and another trainer.
    """

    def __init__(self, mu=1.0, reference=None, preferences=None, nadir=None, **kwargs):
        super().__init__(**kwargs)
        self.mu = arguments.number("mu", mu, above=0)
        self.reference = None if reference is None else arguments.numbers("reference", reference)
        self.preferences = arguments.preferences(preferences)
        self.nadir = None if nadir is None else arguments.numbers("nadir", nadir, above=0)
        if nadir is not None:
            self._check_nadir()
            self.min_losses = 0.0

    def build(self, losses_shape):
        self.ideal = arguments.per_task("reference", self.reference, losses_shape[0], 0.0)
        self.direction = arguments.per_task("preferences", self.preferences, losses_shape[0], 1.0)
        arguments.per_task("nadir", self.nadir, losses_shape[0])

    def combine(self, losses, present):
        if self.nadir is not None:
            return self._combine_logarithms(losses, present)
        ideal, direction = (ops.convert_to_tensor(x, losses.dtype) for x in (self.ideal, self.direction))
        if self.preferences is None:
            direction = direction / ops.maximum(ops.sum(present), 1.0)
        return self.mu * masked.logsumexp(direction * (losses - ideal) / self.mu, present)

    def _combine_logarithms(self, losses, present):
        losses, present = unsolved(losses, present)
        logarithms = ops.log(losses / ops.convert_to_tensor(self.nadir, losses.dtype))
        return ops.sum(present) * self.mu * masked.logsumexp(logarithms / self.mu, present)

    def _check_nadir(self):
        if self.reference is not None or self.preferences is not None:
            raise ValueError(
                "`nadir` takes the place of `reference` and `preferences`. "
                f"Received: nadir={self.nadir}, reference={self.reference}, preferences={self.preferences}"
            )
