"""The task gradients with the closest neighbours."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import GramianAggregator, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class Krum(GramianAggregator):
    """Averages the gradients that are nearest to others, so that outliers have no influence.

    A gradient's score is the sum of its squared distances to its `T - num_byzantine - 2` nearest neighbours,
    but at least one; those with the lowest scores are averaged. For many tasks of the same kind (clients,
    workers), of which some may send anything. What only some tasks share is decided among these, by their
    gradients of it; `task_weights` shows the weights in what most tasks share.

    Args:
        num_byzantine: Number of tasks whose gradients may be arbitrary. Defaults to 0, which
            is ours.
        num_selected: Number of gradients to average, at most the number of tasks. Defaults to 1, the
            paper's Krum.

    Raises:
        ValueError: If `num_byzantine` is negative, `num_selected` is not positive, or (when built) larger
            than the number of tasks.

    Example:

    >>> Krum(num_selected=2)(np.array([[1.0, 2.0], [1.0, 1.0], [-90.0, 90.0]])).numpy()
    array([1. , 1.5], dtype=float32)

    Reference:
        [Blanchard et al., 2017](https://arxiv.org/abs/1703.02757)

    Note:
        The paper asks for at least `2 * num_byzantine + 3` tasks; fewer work here, without the guarantee. Of
        equal scores the first wins.
    """

    per_reach = True

    def __init__(self, num_byzantine=0, num_selected=1, **kwargs):
        super().__init__(**kwargs)
        self.num_byzantine = arguments.integer("num_byzantine", num_byzantine, 0)
        self.num_selected = arguments.integer("num_selected", num_selected, 1)

    def build(self, jacobian_shape):
        if self.num_selected > num_tasks(jacobian_shape):
            raise ValueError(
                f"`num_selected` must be at most the number of tasks, {num_tasks(jacobian_shape)}. "
                f"Received: num_selected={self.num_selected}"
            )
        super().build(jacobian_shape)

    def compute_weights(self, gramian, losses, present):
        present = masked.everyone(present, gramian.shape[0])
        scores = self._scores(gramian, present)
        rank = ops.argsort(ops.argsort(ops.where(present, scores, float("inf"))))
        selected = ops.logical_and(rank < self.num_selected, present)
        return _shares.shares(ops.ones_like(scores), selected)

    def _scores(self, gramian, present):
        """Return the sum of squared distances of every gradient to its nearest neighbours."""
        norms = ops.diagonal(gramian)
        distances = norms[:, None] + norms[None, :] - gramian - ops.transpose(gramian)
        other = ops.logical_and(present[None, :], ops.logical_not(ops.eye(gramian.shape[0], dtype="bool")))
        ordered = ops.sort(ops.where(other, distances, float("inf")), axis=1)
        count = ops.sum(ops.cast(present, "int32"))
        nearest = ops.minimum(ops.maximum(count - self.num_byzantine - 2, 1), count - 1)
        return ops.sum(ops.where(ops.arange(gramian.shape[0]) < nearest, ordered, 0.0), axis=1)
