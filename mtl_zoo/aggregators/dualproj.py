"""The mean gradient, projected to conflict with no task."""

import keras

from mtl_zoo.aggregators.base import PreferenceAggregator
from mtl_zoo.numerics import solvers
from mtl_zoo.numerics.preferences import task_shares


@keras.saving.register_keras_serializable("mtl_zoo")
class DualProj(PreferenceAggregator):
    """Projects the mean gradient on the dual cone: the closest direction that opposes no task gradient.

    It is the mean itself where that conflicts with none. Gradients of large norm dominate it. It opposes none
    of the gradients it is given: those of the shared variables or, with `space="representation"`, those of
    the features, while what the layers before them get may still oppose a task.

    Args:
        preferences: Positive numbers, one per task, that weigh the gradients in the sum that is projected.
            Defaults to `None`: one over the number of tasks.

    Raises:
        ValueError: If a preference is not positive, or (when built) their number is not the number of tasks.

    Example:

    >>> DualProj()(np.array([[1.0, 0.0], [-3.0, 1.0]])).numpy().round(4)
    array([0. , 0.5], dtype=float32)

    Reference:
        [Lopez-Paz & Ranzato, 2017](https://arxiv.org/abs/1706.08840)

    Note:
        The paper (GEM) projects the gradient of a new task given those of old ones. A projection shorter than
        about 1e-3 of its parts counts as zero in float32: less is not known.
    """

    def compute_weights(self, gramian, losses, present):
        shares = task_shares(self.preferences, gramian.shape[0], present, gramian.dtype)
        return solvers.project_on_dual_cone(gramian, shares[None, :], present)[0]
