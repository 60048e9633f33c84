"""Fair shares of the gain, larger for the tasks that perform worse than alone."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator, num_tasks
from mtl_zoo.numerics import masked, solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class PIVRG(GramianAggregator):
    """Performance-informed variance reduction: fair gains, more for tasks that perform worse than alone.

    The weights `a` are positive and solve `G a = (w / a) ** 0.5`, where `w` is T times the softmax of the
    tasks' scores over a temperature. The score of a task says by how many percent it is worse than a network
    of its own, positive if it is worse: `-delta_m` of that task alone. The temperature is the range of the
    scores over `log(bound)`, but at least `min_temperature`.

    With equal scores this is `FairGrad(alpha=2)`. Nothing measures them by itself: the variable `scores`,
    `[T]`, is to be assigned after every epoch, from a callback, or they are given once.

    Args:
        scores: One number per task, in percent: what the variable starts at. Defaults to `None`: 0 for all.
        bound: Above 1: how many times as large as the smallest `w` the largest may be. Defaults to 2.0.
        min_temperature: Positive number, in percent: the temperature for scores that are much alike. Defaults
            to 10.0.
        max_norm: The direction is shortened to this norm, or `None`. Defaults to 1.0. All defaults are those
            of the authors' code.

    Raises:
        ValueError: If an argument is out of bounds, or (when built) there is not one score per task.

    Example:

    >>> aggregator = PIVRG(scores=[100.0, 0.0], max_norm=None)  # w = (4/3, 2/3), at most twice as large
    >>> aggregator(np.eye(2)).numpy().round(4)  # a ** 3 = w
    array([1.1006, 0.8736], dtype=float32)

    Reference:
        [Qin et al., 2025](https://openaccess.thecvf.com/content/CVPR2025/papers/Qin_Revisiting_Fairness_in_Multitask_Learning_A_Performance-Driven_Approach_for_Variance_CVPR_2025_paper.pdf)

    Note:
        The authors' code finds the weights by nonlinear least squares; here they are exact. As there, scores
        are those on validation data, the weights concern what is shared alone, and start equal; the direction
        is not multiplied by the number of tasks. `w` is one of the present tasks. What `FairGrad` says of
        zero gradients, and of combinations that are zero, holds here too.
    """

    def __init__(self, scores=None, bound=2.0, min_temperature=10.0, max_norm=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = None if scores is None else arguments.numbers("scores", scores)
        self.bound = arguments.number("bound", bound, above=1)
        self.min_temperature = arguments.number("min_temperature", min_temperature, above=0)
        self.max_norm = None if max_norm is None else arguments.number("max_norm", max_norm, above=0)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        start = arguments.per_task("scores", self.start, num_tasks(jacobian_shape), 0.0)
        self.scores = self.add_weight(
            name="scores",
            shape=(len(start),),
            initializer=lambda shape, dtype: ops.convert_to_tensor(start, dtype),
            trainable=False,
        )

    def compute_weights(self, gramian, losses, present):
        scale = 1.0 / self._shares(masked.everyone(present, gramian.shape[0]))
        return scale * solvers.bargain(gramian * scale * scale[:, None], 2.0, present)

    def _shares(self, present):
        """Return `w` of the present tasks, of mean 1, and 1 for the others."""
        scores = ops.convert_to_tensor(self.scores)
        highest = ops.max(ops.where(present, scores, ops.min(scores)))
        lowest = ops.min(ops.where(present, scores, ops.max(scores)))
        spread = (highest - lowest) / ops.log(ops.cast(self.bound, scores.dtype))
        temperature = ops.maximum(spread, self.min_temperature)
        count = ops.sum(ops.cast(present, scores.dtype))
        shares = count * masked.softmax((scores - highest) / temperature, present)
        return ops.where(present, shares, 1.0)
