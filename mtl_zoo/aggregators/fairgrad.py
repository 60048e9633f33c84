"""Fair shares of the gain."""

import keras

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics import solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class FairGrad(GramianAggregator):
    """Alpha-fair gains: the weights `a` are positive and solve `G a = a ** (-1 / alpha)`.

    The gains `G a` of the tasks, to first order, maximise an alpha-fair utility: about their sum for a small
    `alpha`, their product for 1 (`NashMTL` without clipping), the smallest of them for a large `alpha`.

    Args:
        alpha: Positive number. Defaults to 1.0, as in LibMTL.
        max_norm: The direction is shortened to this norm, or `None`. Defaults to 1.0, as in the
            authors' code. Without it the direction grows without bound as the gradients shrink, for an
            `alpha` above 1.

    Raises:
        ValueError: If `alpha` or `max_norm` is not positive.

    Example:

    >>> FairGrad(alpha=2.0, max_norm=None)(np.array([[8.0, 0.0], [0.0, 1.0]])).numpy().round(4)
    array([0.5, 1. ], dtype=float32)

    Reference:
        [Ban & Ji, 2024](https://arxiv.org/abs/2402.15638)

    Note:
        The paper finds the weights by nonlinear least squares; here they are exact. Where a convex
        combination of gradients is zero, no solution exists; then the direction is finite (see
        `mtl_zoo.numerics.solvers.bargain`). A zero gradient is left out. As in the authors' code, the weights
        concern what is shared alone (unlike those of `NashMTL`); it is not multiplied by the number of tasks.
    """

    def __init__(self, alpha=1.0, max_norm=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = arguments.number("alpha", alpha, above=0)
        self.max_norm = None if max_norm is None else arguments.number("max_norm", max_norm, above=0)

    def compute_weights(self, gramian, losses, present):
        return solvers.bargain(gramian, self.alpha, present)
