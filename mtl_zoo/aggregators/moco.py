"""Multi-objective descent along moving averages of the task gradients."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators import _shares
from mtl_zoo.aggregators.base import Aggregator, inner_products, num_tasks
from mtl_zoo.numerics import masked


@keras.saving.register_keras_serializable("mtl_zoo")
class MoCo(Aggregator):
    """Gradient correction: descends along moving averages, which the noise of a batch biases less.

    Each task gradient is brought to the length of its loss and averaged over the steps; the weights of the
    averages follow the descent towards the shortest combination, one step at a time.

    Args:
        beta: Rate of the averages. Defaults to 0.5.
        beta_sigma: It falls with the number of steps to the power of `-beta_sigma`. Defaults to 0.5.
        gamma: Rate of the weights. Defaults to 0.1.
        gamma_sigma: It falls with the number of steps to the power of `-gamma_sigma`. Defaults to 0.5.
        rho: Strength of the pull towards equal weights. Defaults to 0. All defaults are LibMTL's, whose code
            is based on that of the paper's authors.

    Raises:
        ValueError: If `beta` is not in (0, 1], another argument is negative, or a call gives no losses.

    Example:

    >>> aggregator = MoCo()
    >>> aggregator(np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([1.0, 2.0])).numpy().round(3)
    array([0.153, 0.694], dtype=float32)

    Reference:
        [Fernando et al., 2023](https://arxiv.org/abs/2210.12624)

    Note:
        The paper projects the weights onto the simplex; as in the authors' code, a softmax replaces that, and
        the gradients are normalised to the losses.

    Note:
        The averages have T times the size of what is shared. Of an embedding that is all rows, and so is its
        gradient: other methods get the rows that a batch looked up.
    """

    state_per_parameter = True

    def __init__(self, beta=0.5, beta_sigma=0.5, gamma=0.1, gamma_sigma=0.5, rho=0.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = arguments.number("beta", beta, above=0, most=1)
        self.beta_sigma = arguments.number("beta_sigma", beta_sigma, least=0)
        self.gamma = arguments.number("gamma", gamma, least=0)
        self.gamma_sigma = arguments.number("gamma_sigma", gamma_sigma, least=0)
        self.rho = arguments.number("rho", rho, least=0)

    def build(self, jacobian_shape):
        size = num_tasks(jacobian_shape)
        self.averages = self.add_block_weights("average", jacobian_shape)
        self.steps = self.add_weight(name="steps", shape=(size,), initializer="zeros", trainable=False)
        start = keras.initializers.Constant(1.0 / size)
        self.convex_weights = self.add_weight(
            name="convex_weights", shape=(size,), initializer=start, trainable=False
        )
        self.task_weights = self.add_weight(
            name="task_weights", shape=(size,), initializer=start, trainable=False
        )

    def call(self, jacobian, losses=None, present=None):
        if losses is None:
            raise ValueError("MoCo weighs by the losses, so they must be given. Received: losses=None")
        blocks = keras.tree.flatten(jacobian)
        present = masked.everyone(present, blocks[0].shape[0])
        self.steps.assign_add(ops.cast(present, self.steps.dtype))
        averages = self._average(blocks, ops.where(present, losses, 0.0), present)
        shares = self._descend(inner_products(averages), present)
        return keras.tree.pack_sequence_as(jacobian, [ops.matmul(shares, average) for average in averages])

    def _average(self, blocks, losses, present):
        """Move the averages towards the gradients, brought to the length of the losses."""
        norms = ops.sqrt(sum(ops.sum(block**2, axis=1) for block in blocks))
        scale = ops.divide_no_nan(losses, norms)[:, None]
        rate = ops.where(present, self._decayed(self.beta, self.beta_sigma), 0.0)[:, None]
        averages = []
        for variable, block in zip(self.averages, blocks, strict=True):
            averages.append(variable + rate * (scale * block - variable))
            variable.assign(averages[-1])
        return averages

    def _descend(self, gramian, present):
        """Move the weights by one step and return them as shares of the present tasks."""
        shares = _shares.shares(self.convex_weights, present)
        slope = ops.matmul(gramian, shares) + self.rho * shares
        shares = masked.softmax(shares - self._decayed(self.gamma, self.gamma_sigma) * slope, present)
        shares = ops.where(ops.all(ops.isfinite(gramian)), shares, float("nan"))  # too long to square
        self.convex_weights.assign(_shares.divide(self.convex_weights, shares, present))
        self.task_weights.assign(shares)
        return shares

    def _decayed(self, rate, sigma):
        return rate / ops.maximum(self.steps, 1.0) ** sigma
