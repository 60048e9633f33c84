"""The shortest vector in the convex hull of the task gradients."""

import keras

from mtl_zoo.aggregators.base import PreferenceAggregator
from mtl_zoo.numerics import solvers
from mtl_zoo.numerics.preferences import task_shares


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

    Raises:
        ValueError: If a preference is not positive, or (when built) their number is not the number of tasks.

    Example:

    >>> MGDA()(np.array([[2.0, 0.0], [0.0, 1.0]])).numpy().round(4)
    array([0.4, 0.8], dtype=float32)

    Reference:
        [Désidéri, 2012](https://doi.org/10.1016/j.crma.2012.03.014),
        [Sener & Koltun, 2018](https://arxiv.org/abs/1810.04650)

    Note:
        Sener & Koltun find the weights by Frank-Wolfe, to about 1%; here they are exact (see
        `mtl_zoo.numerics.solvers.min_norm`).
    """

    def compute_weights(self, gramian, losses, present):
        scale = 1.0
        if self.preferences is not None:
            scale = task_shares(self.preferences, gramian.shape[0], dtype=gramian.dtype)
            gramian = gramian * scale * scale[:, None]
        return scale * solvers.min_norm(gramian, present)
