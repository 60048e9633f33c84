"""Task gradients brought to the length of the primary task's, variable by variable."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _primary
from mtl_zoo.aggregators.base import Aggregator, num_blocks, num_tasks
from mtl_zoo.numerics import masked

EPSILON = 1e-5  # added to the lengths that are divided by


@keras.saving.register_keras_serializable("mtl_zoo")
class MetaBalance(Aggregator):
    """Brings the gradients of auxiliary tasks near the length of the primary task's, and sums all.

    In every variable on its own: `relax * g * m[primary] / (m + 1e-5) + (1 - relax) * g` is what is summed of
    the gradient `g` of another task, with `m` the moving averages of the lengths. So an auxiliary task
    neither dominates the primary one nor gets lost, in no part of the network.

    Args:
        relax: From 0, where it is the plain sum, to 1, where all have the length of the primary task's
            gradient. Defaults to 0.7, as in the authors' code.
        beta: Weight of the past in the averages, at least 0 and below 1. Defaults to 0.9, the paper's.
        primary: Index or name of the primary task. Names are for a `Trainer`. Defaults to 0, the first.

    Raises:
        ValueError: If an argument is out of bounds, or (when built) there is no such task.

    Example:

    >>> MetaBalance(relax=0.5)(np.array([[2.0, 0.0], [0.0, 8.0]])).numpy().round(3)  # 0.5 * 2 + 0.5 * 8
    array([2., 5.], dtype=float32)

    Reference:
        [He et al., 2022](https://arxiv.org/abs/2203.06801)

    Note:
        The averages of a task stay where it is absent; those of the primary one still count then. They begin
        at 0, all alike in the paper; one that begins later is filled as far as the primary task's is. A
        variable in which the primary task never had a gradient gets the plain sum of the others. The averages
        are of variables, which a representation does not have.
    """

    state_per_block = True

    def __init__(self, relax=0.7, beta=0.9, primary=0, **kwargs):
        super().__init__(**kwargs)
        self.relax = arguments.number("relax", relax, least=0, most=1)
        self.beta = arguments.number("beta", beta, least=0, below=1)
        self.primary = _primary.checked(primary)

    def for_tasks(self, names):
        """Find the primary task among the names of all."""
        self.primary = _primary.place(self.primary, names)

    def get_config(self):
        """Return the arguments; the primary task by its index once that is known."""
        given = {"relax": self.relax, "beta": self.beta, "primary": self.primary}
        return super().get_config() | given

    def build(self, jacobian_shape):
        _primary.check_place(self.primary, num_tasks(jacobian_shape))
        shape = num_tasks(jacobian_shape), num_blocks(jacobian_shape)
        self.lengths = self.add_weight(name="lengths", shape=shape, initializer="zeros", trainable=False)
        self.steps = self.add_task_weights("steps", jacobian_shape, 0.0)

    def call(self, jacobian, losses=None, present=None):
        blocks = keras.tree.flatten(jacobian)
        latest = ops.stack([ops.norm(block, axis=1) for block in blocks], axis=1)
        present = masked.everyone(present, latest.shape[0])[:, None]
        moved = self.beta * self.lengths + (1.0 - self.beta) * latest
        self.lengths.assign(ops.where(present, moved, self.lengths))
        self.steps.assign_add(ops.cast(present[:, 0], self.steps.dtype))
        weights = ops.unstack(self._weights(self.lengths * self._filling()), axis=1)
        found = [ops.matmul(w, block) for w, block in zip(weights, blocks, strict=True)]
        return keras.tree.pack_sequence_as(jacobian, found)

    def _filling(self):
        """Return the factors `[T, 1]` by which averages are filled as far as the primary task's."""
        steps = ops.maximum(ops.cast(self.steps, "float64"), 1.0)
        filled = 1.0 - self.beta**steps
        return ops.cast(filled[self.primary] / filled, self.lengths.dtype)[:, None]

    def _weights(self, lengths):
        """Return the weights of the tasks in the blocks, `[T, blocks]`."""
        target = lengths[self.primary]
        weights = self.relax * target / (lengths + EPSILON) + (1.0 - self.relax)
        is_other = (ops.arange(lengths.shape[0]) != self.primary)[:, None]
        return ops.where(ops.logical_and(is_other, target > 0), weights, 1.0)
