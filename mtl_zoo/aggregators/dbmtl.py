"""Moving averages of the task gradients, scaled to one length."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class DBMTL(Aggregator):
    """Dual balancing: averages each task gradient over the steps and scales all to the longest, then sums.

    It is meant to follow the `Logarithm` balancer, which makes the losses comparable as this makes the
    gradients.

    Args:
        beta: Weight of the past in the averages, at least 0 and below 1. Defaults to 0.9, as in LibMTL.
        sigma: It falls with the number of steps to the power of `-sigma`. Defaults to 0, as there.

    Raises:
        ValueError: If `beta` is not in [0, 1), or `sigma` is negative.

    Example:

    >>> DBMTL()(np.array([[2.0, 0.0], [0.0, 4.0]])).numpy().round(4)  # a first average is a tenth
    array([0.4, 0.4], dtype=float32)

    Reference:
        [Lin et al., 2023](https://arxiv.org/abs/2308.12029)

    Note:
        The paper divides by norms plus 1e-8; here an average of length zero adds nothing.

    Note:
        The averages have T times the size of what is shared. Of an embedding that is all rows, and so is its
        gradient: other methods get the rows that a batch looked up.
    """

    state_per_parameter = True

    def __init__(self, beta=0.9, sigma=0.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = arguments.number("beta", beta, least=0, below=1)
        self.sigma = arguments.number("sigma", sigma, least=0)

    def build(self, jacobian_shape):
        size = num_tasks(jacobian_shape)
        self.averages = self.add_block_weights("average", jacobian_shape)
        self.steps = self.add_weight(name="steps", shape=(size,), initializer="zeros", trainable=False)
        self.task_weights = self.add_weight(
            name="task_weights", shape=(size,), initializer="ones", trainable=False
        )

    def call(self, jacobian, losses=None, present=None):
        blocks = keras.tree.flatten(jacobian)
        present = masked.everyone(present, blocks[0].shape[0])
        averages = self._average(blocks, present)
        norms = ops.sqrt(sum(ops.sum(average**2, axis=1) for average in averages))
        norms = ops.where(present, norms, 0.0)
        weights = ops.divide_no_nan(ops.max(norms), norms)
        self.task_weights.assign(weights)
        return keras.tree.pack_sequence_as(jacobian, [ops.matmul(weights, average) for average in averages])

    def _average(self, blocks, present):
        """Move the averages of the present tasks and return all."""
        self.steps.assign_add(ops.cast(present, self.steps.dtype))
        past = self.beta / ops.maximum(self.steps, 1.0) ** self.sigma
        past = ops.where(present, past, 1.0)[:, None]
        averages = []
        for variable, block in zip(self.averages, blocks, strict=True):
            averages.append(past * variable + (1.0 - past) * block)
            variable.assign(averages[-1])
        return averages
