"""Focal weights of the tasks' progress."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers.base import Balancer

SMALLEST_START, SMALLEST_PROGRESS = 1e-12, 1e-7


@keras.saving.register_keras_serializable("mtl_zoo")
class DTP(Balancer):
    """Dynamic task prioritization: the less progress a task has made, the larger its weight.

    The weight is the focal loss of the task's progress `p`, `-(1 - p) ** gamma * log(p)`. The progress is the
    moving average of `start / (start + loss)`, where `start` is the loss at which the task was first seen. It
    begins at 1/2, tends to 1 as the loss falls to 0 and to 0 if the loss grows, and does not depend on the
    scale of the loss. Losses must not be negative: `fit` warns of those that are, and they count as 0.

    Args:
        gamma: Focusing: larger values turn faster from tasks that progress. Defaults to 1, which is ours.
        alpha: Share of the newest loss in the moving average, in (0, 1]. Defaults to 0.1, likewise ours.

    Raises:
        ValueError: If `gamma` is negative or `alpha` is not in (0, 1].

    Example:

    >>> balancer = DTP(gamma=1.0, alpha=1.0)
    >>> for losses in ([1.0, 100.0], [1.0, 25.0]):
    ...     _ = balancer(np.array(losses))
    >>> np.array(balancer.progress)
    array([0.5, 0.8], dtype=float32)

    Reference:
        [Guo et al., 2018](https://openaccess.thecvf.com/content_ECCV_2018/html/Michelle_Guo_Focus_on_the_ECCV_2018_paper.html)

    Note:
        The paper measures progress by a key performance indicator of each task, such as accuracy, which a
        balancer does not see: the ratio of losses above stands for it. There is one `gamma` for all tasks,
        and the paper's weighting of examples within a task belongs to the task's loss.
    """

    min_losses = 0.0

    def __init__(self, gamma=1.0, alpha=0.1, **kwargs):
        super().__init__(**kwargs)
        self.gamma = arguments.number("gamma", gamma, least=0)
        self.alpha = arguments.number("alpha", alpha, above=0, most=1)

    def build(self, losses_shape):
        def state(name):
            return self.add_weight(name=name, shape=losses_shape, initializer="zeros", trainable=False)

        self.start = state("start")
        self.progress = state("progress")

    def combine(self, losses, present):
        self._update(ops.maximum(ops.stop_gradient(losses), 0.0), present)
        progress = ops.stop_gradient(ops.where(present > 0, self.progress, 1.0))
        focal = -((1.0 - progress) ** self.gamma) * ops.log(progress)
        return ops.sum(focal * losses)

    def _update(self, losses, present):
        """Move the progress of the present tasks; a progress of 0 says that the task was never seen."""
        is_first = ops.logical_and(present > 0, self.progress == 0)
        self.start.assign(ops.where(is_first, ops.maximum(losses, SMALLEST_START), self.start))
        start = ops.where(present > 0, self.start, 1.0)
        now = ops.maximum(start / (start + losses), SMALLEST_PROGRESS)
        rate = present * ops.where(is_first, ops.ones_like(present), self.alpha)
        self.progress.assign(rate * now + (1.0 - rate) * self.progress)
