"""The bargaining solution of Nash."""

import keras

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics import solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class NashMTL(GramianAggregator):
    """Nash bargaining: the direction that maximises the product of the tasks' gains.

    It does not change when a loss is scaled, and as the weights are those of the losses, by which the
    gradients of heads are multiplied too, neither does training: losses of different units need no balancing.
    Without `max_norm` the squared norm of the direction is the number of tasks, however small the gradients.

    Args:
        max_norm: The direction is shortened to this norm, or `None`; the gradients of heads are not. Defaults
            to 1.0, as in the authors' code.

    Raises:
        ValueError: If `max_norm` is not positive.

    Example:

    >>> NashMTL(max_norm=None)(np.array([[2.0, 0.0], [0.0, 100.0]])).numpy().round(4)
    array([1., 1.], dtype=float32)

    Reference:
        [Navon et al., 2022](https://arxiv.org/abs/2202.01017)

    Note:
        The weights solve `G a = 1 / a` in every step. The paper approximates them by a sequence of convex
        programs, starting from those of the step before. Where a convex combination of gradients is zero, no
        solution exists; then the direction is finite (see `mtl_zoo.numerics.solvers.bargain`), and what it
        leaves of the gradients that oppose each other is zero. A zero gradient is left out. Weights, and with
        them the gradients of heads, are large where shared gradients are short or nearly opposite.
    """

    weighs_losses = True

    def __init__(self, max_norm=1.0, **kwargs):
        super().__init__(**kwargs)
        self.max_norm = None if max_norm is None else arguments.number("max_norm", max_norm, above=0)

    def compute_weights(self, gramian, losses, present):
        return solvers.bargain(gramian, present=present)
