"""The best direction for the worst task near the mean gradient."""

import keras

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import GramianAggregator
from mtl_zoo.numerics import solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class CAGrad(GramianAggregator):
    """Conflict-averse descent: of all directions near the mean gradient, the best for the worst task.

    Near means within `c` times the mean's norm: 0 gives the mean, a large `c` the direction of `MGDA`. Below
    1 it converges to a minimum of the mean loss.

    Args:
        c: Non-negative number. Defaults to 0.5, as in LibMTL; the code of Nash-MTL and FAMO takes 0.4.

    Raises:
        ValueError: If `c` is negative.

    Example:

    >>> CAGrad(c=0.5)(np.array([[2.0, 0.0], [0.0, 0.0]])).numpy().round(4)
    array([1., 0.], dtype=float32)
    >>> CAGrad(c=0.6)(np.array([[-1.0, 1.0], [3.0, 1.0]])).numpy().round(4)
    array([0.4, 1.6], dtype=float32)

    Reference:
        [Liu et al., 2021](https://arxiv.org/abs/2110.14048)

    Note:
        The direction is not divided by `1 + c` or its square, as some implementations do. The inner problem
        is solved exactly (see `mtl_zoo.numerics.solvers.conflict_averse`), not by 20 steps of gradient
        descent.
    """

    def __init__(self, c=0.5, **kwargs):
        super().__init__(**kwargs)
        self.c = arguments.number("c", c, least=0)

    def compute_weights(self, gramian, losses, present):
        return solvers.conflict_averse(gramian, self.c, present)
