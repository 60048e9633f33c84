"""Weights that lower the losses of all tasks on a second batch."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _adam as adam
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked, solvers


@keras.saving.register_keras_serializable("mtl_zoo")
class MOML(Balancer):
    """Learns weights of the losses that lower the losses of all tasks on other data, none for another.

    Multi-objective meta learning: before every update, a step of gradient descent with the weights of now,
    the softmax of `task_logits`, is looked at, without making it. The loss that each task has then on a batch
    of `meta_data` has a gradient by the logits; Adam moves them against the sum of these gradients with the
    weights of multiple-gradient descent: those of the shortest convex combination of their directions.

    Args:
        learning_rate: Learning rate of the logits. Defaults to 0.001, as in the authors' code.

    Raises:
        ValueError: If `learning_rate` is not positive; in `fit`, if there are no `meta_data`.

    Example:

    >>> balancer = MOML(learning_rate=0.1)
    >>> balancer.build((2,))
    >>> balancer.look_ahead(np.array([[-1.0, 0.0], [-1.0, -0.5]], "float32"), [True, True], [True, True])
    >>> np.round(balancer.task_logits, 3)  # both losses on the meta batch fall with the first task's weight
    array([ 0.1, -0.1], dtype=float32)

    Reference:
        [Ye et al., 2021](https://arxiv.org/abs/2102.07121)

    Note:
        Built from the authors' code for multi-task learning. As there, the gradients have length 1 where the
        weights of multiple-gradient descent are found and their own length where they are summed. The logits
        start at 0, which is the same softmax as their start. The length of the step that is looked at is the
        optimizer's learning rate, as in their first code (1e-4, that of its Adam); that of their later one is
        an argument, 0.1 or 0.01. Their model is trained on both batches; here the meta data stay apart.
        Weights are shared out among the tasks with labels in the training batch; one without keeps its logit,
        and where no task has labels in the meta batch, all do.
    """

    needs_meta = True

    def __init__(self, learning_rate=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)

    def build(self, losses_shape):
        self.task_logits = self.add_weight(
            name="task_logits", shape=losses_shape, initializer="zeros", trainable=False
        )
        self.moments = adam.moments(self, losses_shape)

    def combine(self, losses, present):
        return ops.sum(masked.softmax(self.task_logits, present) * losses)

    def look_ahead(self, slopes, present, meta_present):
        """Do a step of Adam on the logits.

        Args:
            slopes: Tensor `[T, T]`: derivatives of the losses on the meta batch by the weights.
            present: As in `Balancer.look_ahead`.
            meta_present: Likewise.
        """
        present, meta_present = (ops.cast(x, "bool") for x in (present, meta_present))
        shares = masked.softmax(self.task_logits, present)
        rows = shares * (slopes - ops.sum(shares * slopes, axis=1, keepdims=True))
        # In float64, where rounding does not choose between two tasks of one direction.
        unit, _ = solvers.normalize(ops.matmul(rows, ops.transpose(rows)), meta_present)
        weights = ops.cast(solvers.min_norm(unit, meta_present), rows.dtype)
        moved = ops.cast(present & ops.any(meta_present), self.compute_dtype)
        gradient = ops.sum(weights[:, None] * rows, axis=0)
        adam.descend(self.task_logits, self.moments, gradient, moved, self.learning_rate)
