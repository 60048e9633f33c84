"""Weights that bring the tasks to one speed, from the kernels of their gradients in parts of the batch."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class NTKMTL(Aggregator):
    """Neural tangent kernel: the faster a task learns by itself, the smaller its weight.

    The batch is dealt to parts. How fast a task learns is the largest eigenvalue `s` of `J @ J.T`, with `J`
    the gradients of its loss in the parts, and its weight is `(mean(s) / s) ** power`. The direction is the
    weighted sum of the gradients, each the mean over the parts. The weights are those of the losses: the
    gradients of heads are multiplied by them too.

    It is made for `space="representation"`, where it is NTKMTL-SR and costs a pass of the heads for every
    part and task. In the shared space these passes go through the whole network.

    Args:
        num_parts: Into how many parts the batch is dealt. Defaults to 4, the paper's for NTKMTL-SR. With 1, a
            weight is that of the length of the task's gradient.
        power: Non-negative number. Defaults to 0.5, the paper's; its authors also recommend 0.75.

    Raises:
        ValueError: If `num_parts` is not positive or `power` is negative.

    Example:

    >>> aggregator = NTKMTL(num_parts=2)
    >>> parts = np.array([[[2.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [1.0, 0.0]]])
    >>> aggregator(parts).numpy().round(3)  # eigenvalues 4 and 1, of mean 2.5
    array([1.581, 1.581], dtype=float32)

    Reference:
        [Qin et al., 2025](https://arxiv.org/abs/2510.18258)

    Note:
        The authors' code divides the sum of the eigenvalues, not their mean, so that its weights are
        `T ** power` times as large, and shortens the direction to norm 1. Labelled items are dealt to the
        parts in turn, not in runs, and a part for which no item of a task is left takes the gradient of all.
        In a representation different examples have no element in common, so that the largest eigenvalue is
        the square of the longest of the parts' gradients. A task whose gradient is zero has weight 0.
    """

    sub_batches = 4
    weighs_losses = True
    parts_in_representation = True

    def __init__(self, num_parts=4, power=0.5, **kwargs):
        super().__init__(**kwargs)
        self.sub_batches = arguments.integer("num_parts", num_parts, 1, arguments.COPIES)
        self.power = arguments.number("power", power, least=0)

    def build(self, jacobian_shape):
        self.task_weights = self.add_task_weights("task_weights", jacobian_shape)
        self.loss_weights = self.add_task_weights("loss_weights", jacobian_shape)

    def products(self, jacobian):
        """Return the inner products of the parts' gradients, `[T, parts, parts]`, summed over the blocks."""
        return sum(_products(self._parts(block)) for block in keras.tree.flatten(jacobian))

    def call(self, jacobian, losses=None, present=None, gramian=None):
        products = self.products(jacobian) if gramian is None else gramian
        present = masked.everyone(present, products.shape[0])
        weights = self._weights(_largest_eigenvalues(products), present)
        self.task_weights.assign(weights)
        self.loss_weights.assign(ops.where(weights == 0, 1.0, weights))
        return keras.tree.map_structure(
            lambda block: ops.matmul(weights, ops.mean(self._parts(block), axis=0)), jacobian
        )

    def _parts(self, block):
        """Return a block with an axis for the parts."""
        return block[None] if self.sub_batches == 1 else block

    def _weights(self, values, present):
        mask = ops.cast(present, values.dtype)
        mean = ops.divide_no_nan(ops.sum(mask * values), ops.sum(mask))
        learns = ops.logical_and(present, values != 0)
        ratio = mean / ops.where(learns, values, 1.0)
        return ops.cast(ops.where(learns, ratio**self.power, 0.0), self.compute_dtype)


def _products(parts):
    rows = ops.transpose(parts, (1, 0, 2))
    return ops.matmul(rows, ops.transpose(rows, (0, 2, 1)))


def _largest_eigenvalues(products):
    """Return the largest eigenvalue of every matrix, `[T]`, in float64; NaN where one is not finite."""
    finite = ops.all(ops.isfinite(products))
    values, _ = ops.eigh(ops.cast(ops.where(finite, products, 0.0), "float64"))
    return ops.where(finite, ops.maximum(values[:, -1], 0.0), float("nan"))
