"""Weights that follow how far each task is from its optimum."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import Aggregator, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class ExcessMTL(Aggregator):
    """Weighs the tasks by their excess risk: how much their losses could still fall, noise aside.

    A task whose labels are noisy keeps a high loss but not a high excess, so it does not take over. The
    excess is estimated as `sum(g**2 / sqrt(A))` with `A` the sum over the steps of `g**2`, relative to its
    first value. The weights, of sum 1, grow by `exp(learning_rate * excess)`. They are weights of the losses:
    the gradients of heads are multiplied by them too.

    Args:
        learning_rate: Rate of the weights. Defaults to 1e-2, as in LibMTL.

    Raises:
        ValueError: If `learning_rate` is negative.

    Example:

    >>> aggregator = ExcessMTL()
    >>> aggregator(np.array([[2.0, 0.0], [0.0, 4.0]])).numpy()
    array([1., 2.], dtype=float32)

    Reference:
        [He et al., 2024](https://arxiv.org/abs/2402.02009)

    Note:
        The weights have sum 1 as in the paper, not T as in the authors' code.

    Note:
        The sums have T times the size of what is shared. Of an embedding that is all rows, and so is its
        gradient: other methods get the rows that a batch looked up.
    """

    weighs_losses = True
    state_per_parameter = True

    def __init__(self, learning_rate=1e-2, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = arguments.number("learning_rate", learning_rate, least=0)

    def build(self, jacobian_shape):
        share = 1.0 / num_tasks(jacobian_shape)
        self.squares = self.add_block_weights("squares", jacobian_shape)
        self.first_excess = self.add_task_weights("first_excess", jacobian_shape, 0.0)
        self.convex_weights = self.add_task_weights("convex_weights", jacobian_shape, share)
        self.task_weights = self.loss_weights = self.add_task_weights("task_weights", jacobian_shape, share)

    def call(self, jacobian, losses=None, present=None):
        blocks = keras.tree.flatten(jacobian)
        present = masked.everyone(present, blocks[0].shape[0])
        excess = self._relative(self._excess(blocks))
        shares = _shares.shares(self.convex_weights, present)
        logits = ops.log(ops.maximum(shares, 1e-30)) + self.learning_rate * excess
        shares = masked.softmax(logits, present)
        self.convex_weights.assign(_shares.divide(self.convex_weights, shares, present))
        self.task_weights.assign(shares)
        return keras.tree.map_structure(lambda block: ops.matmul(shares, block), jacobian)

    def _excess(self, blocks):
        """Add the squared gradients, and return the estimated excess risks."""
        excess = 0.0
        for variable, block in zip(self.squares, blocks, strict=True):
            variable.assign_add(block**2)
            excess = excess + ops.sum(block**2 / ops.sqrt(variable + 1e-7), axis=1)
        return excess

    def _relative(self, excess):
        """Divide by the first excess other than zero; it counts as 1 until then."""
        first = ops.copy(self.first_excess)
        self.first_excess.assign(ops.where(first > 0, first, excess))
        return ops.where(first > 0, ops.divide_no_nan(excess, first), 1.0)
