"""The sum of the gradients, each projected to conflict with none."""

import keras
from keras import ops

from mtl_zoo.aggregators.base import PreferenceAggregator
from mtl_zoo.numerics import solvers
from mtl_zoo.numerics.preferences import task_shares


@keras.saving.register_keras_serializable("mtl_zoo")
class UPGrad(PreferenceAggregator):
    """Unconflicting projection: the mean of the task gradients, each projected on the dual cone.

    The dual cone holds the directions that oppose no gradient, so a small step against the result raises no
    loss, and a task gains in proportion to its gradient. That holds for the gradients it is given: those of
    the shared variables or, with `space="representation"`, those of the features, while what the layers
    before them get may still oppose a task.

    Args:
        preferences: Positive numbers, one per task, by which gradients are multiplied before they are
            projected. Defaults to `None`: one over the number of tasks.

    Raises:
        ValueError: If a preference is not positive, or (when built) their number is not the number of tasks.

    Example:

    >>> UPGrad()(np.array([[1.0, 0.0], [-1.0, 1.0]])).numpy().round(4)
    array([0.25, 0.75], dtype=float32)

    Reference:
        [Quinton & Rey, 2024](https://arxiv.org/abs/2406.16232)

    Note:
        Without the regularisation of the authors' code, which loses the guarantee when norms differ. A
        projection shorter than about 1e-3 of its gradient counts as zero in float32: less is not known.
    """

    def compute_weights(self, gramian, losses, present):
        shares = task_shares(self.preferences, gramian.shape[0], present, gramian.dtype)
        rows = solvers.diagonal_matrix(shares)
        return ops.sum(solvers.project_on_dual_cone(gramian, rows, present), axis=0)
