"""Descent on the losses of a second batch, along which the weighted training losses stay low."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.balancers import _adam as adam
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.numerics import masked
from mtl_zoo.numerics.constrained import standard_qp
from mtl_zoo.numerics.solvers import nearest_semidefinite

EPSILON = 1e-8  # added to the squared length of the constraint's gradient, as in the authors' code
MOMENTUM_POWER = 0.75  # by which the part of the newest weights falls with the epochs, likewise


@keras.saving.register_keras_serializable("mtl_zoo")
class FORUM(Balancer):
    """Descends on the losses of `meta_data`, while the weighted training losses are kept near their minimum.

    The first-order multi-gradient method for bi-level optimization. The upper level has the losses on the
    meta data as objectives, the lower one the sum of the training losses with weights, the softmax of
    `task_logits`. By how much that sum can still fall, which some virtual steps of gradient descent tell, is
    a constraint. The update of model and logits descends on the objectives, weighted by `meta_weights`, plus
    `training_weight` times the constraint: multiple-gradient descent that must lower the constraint at the
    rate `rho`. So the model is trained on both batches, and there must be no aggregator.

    Args:
        learning_rate: Learning rate of the logits. Defaults to 0.001, as in LibMTL.
        virtual_steps: Number of virtual steps. Defaults to 5, as in the authors' code.
        virtual_rate: Learning rate of the virtual steps. Defaults to 0.1, as in the authors' code for images;
            for QM9 they take 0.01.
        rho: How fast the constraint is to fall, as a part of the square of its gradient. Defaults to 0.1, as
            in the authors' code.

    Raises:
        ValueError: If `learning_rate`, `virtual_rate` or `rho` is not positive, or `virtual_steps` is not a
            positive integer; in a `Trainer`, if there is an aggregator; in `fit`, if there are no meta data.

    Example:

    >>> balancer = FORUM(learning_rate=0.1)
    >>> balancer.build((2,))
    >>> gramian = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "float32")
    >>> np.round(balancer.weigh_meta(gramian, [0.2, 0.0], [True, True], [True, True]), 3)
    array([0.5, 0.5], dtype=float32)
    >>> round(float(balancer.training_weight), 3)  # all gradients are orthogonal
    0.1
    >>> np.round(balancer.task_logits, 3)  # the first loss can still fall
    array([-0.1,  0.1], dtype=float32)

    Reference:
        [Ye et al., 2024](https://arxiv.org/abs/2401.09257)

    Note:
        Built from the authors' code, whose problem for the weights is solved here exactly and without cvxpy;
        the text of the paper could not be read. As there, gradients on the meta data have length 1, the
        smoothing of `meta_weights` begins with the second epoch, and virtual steps stop at a sum of losses of
        1e5. There Adam moves the logits (LibMTL's newer code; which optimizer the first one has could not be
        seen). Dropout is the same in all passes of an update, where theirs draws anew. The model's own losses
        are added as they are, and are not in the constraint. Their meta data are the training data in another
        order, of which each batch is cut in two. A task without labels in the training batch keeps its logit,
        one without in the meta batch its `meta_weights`, and those of the others are scaled to a sum of 1.
    """

    needs_meta = True
    adds_meta_gradients = True

    def __init__(self, learning_rate=1e-3, virtual_steps=5, virtual_rate=0.1, rho=0.1, **kwargs):
        super().__init__(**kwargs)
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)
        self.virtual_steps = arguments.integer("virtual_steps", virtual_steps, 1, arguments.COPIES)
        self.virtual_rate = arguments.number("virtual_rate", virtual_rate, above=0)
        self.rho = arguments.number("rho", rho, above=0)

    def build(self, losses_shape):
        def state(name, shape, start):
            return self.add_weight(name=name, shape=shape, initializer=start, trainable=False)

        equal = keras.initializers.Constant(1.0 / losses_shape[0])
        self.task_logits = state("task_logits", losses_shape, "zeros")
        self.used_logits = state("used_logits", losses_shape, "zeros")
        self.meta_weights = state("meta_weights", losses_shape, equal)
        self.training_weight = state("training_weight", (), "ones")
        self.epochs = state("epochs", (), "zeros")
        self.moments = adam.moments(self, losses_shape)

    def combine(self, losses, present):
        return self.training_weight * ops.sum(masked.softmax(self.used_logits, present) * losses)

    def virtual_weights(self, present):
        """Return the softmax of the logits over the present tasks."""
        return masked.softmax(self.task_logits, present)

    def weigh_meta(self, gramian, falls, present, meta_present):
        """Find all weights, and do a step of Adam on the logits; as `Balancer.weigh_meta`."""
        present, meta_present = (ops.cast(x, "bool") for x in (present, meta_present))
        shares = self.virtual_weights(present)
        slopes = shares * (falls - ops.sum(shares * falls))
        norms, unit, products, squared = _parts(gramian, slopes)
        length = ops.sqrt(squared + EPSILON)
        found = _weights(unit, products / length, (squared, length, self.rho), meta_present)
        weights = self._smoothed(ops.cast(found, self.compute_dtype), meta_present)
        rates = self.rho - products / ops.square(length)
        training = ops.maximum(ops.sum(ops.cast(weights, "float64") * rates), 0.0)
        self.training_weight.assign(ops.cast(training, self.compute_dtype))
        self.used_logits.assign(self.task_logits)  # model and logits move from where they are now
        gradient, moved = self.training_weight * slopes, ops.cast(present, self.compute_dtype)
        adam.descend(self.task_logits, self.moments, gradient, moved, self.learning_rate)
        return ops.divide_no_nan(weights, ops.cast(norms, self.compute_dtype))

    def on_epoch_end(self):
        """Count the epoch."""
        self.epochs.assign_add(1.0)

    def _smoothed(self, found, present):
        """Take new weights of the present tasks into account; return the weights that they have now."""
        there = ops.cast(present, self.compute_dtype)
        part = (self.epochs + 1.0) ** -MOMENTUM_POWER
        self.meta_weights.assign_add(there * part * (found - self.meta_weights))
        shares = ops.where(ops.any(present), there, 1.0) * self.meta_weights
        return shares / ops.sum(shares)


def _parts(gramian, slopes):
    """Return norms, Gramian and products of unit gradients with the constraint's, and its squared norm."""
    gramian, slopes = ops.cast(gramian, "float64"), ops.cast(slopes, "float64")
    norms = ops.sqrt(ops.maximum(ops.diagonal(gramian)[:-1], 0.0))
    inverse = ops.divide_no_nan(1.0, norms)
    unit = inverse[:, None] * gramian[:-1, :-1] * inverse
    return norms, unit, inverse * gramian[:-1, -1], gramian[-1, -1] + ops.sum(ops.square(slopes))


def _weights(unit, cosines, constraint, present):
    """Return the weights of the gradients in the shortest direction that lowers the constraint fast enough.

    With `x` the weights, `y` that of the constraint and `target = rho * length`, all in units of `length`,
    they minimise `norm(x @ gradients + y * constraint) ** 2 - target * y` over the simplex of `x`, with
    `y >= 0` and `y >= (target - cosines) @ x`.

    Args:
        unit: Tensor `[T, T]`, inner products of the unit gradients.
        cosines: Tensor `[T]`, their products with the constraint's gradient, over `length`.
        constraint: Tuple of the squared norm of that gradient, of `length`, which is a bit more than the
            norm, and of `rho`.
        present: Boolean tensor `[T]`; an absent gradient gets weight 0.

    Returns:
        Tensor `[T]`; NaN where something is not finite.
    """
    squared, length, rho = constraint
    both, there = present[:, None] & present, ops.cast(present | ~ops.any(present), "float64")
    target = rho * length
    size = ops.maximum(target, 1.0)
    known = ops.all(ops.isfinite(unit)) & ops.all(ops.isfinite(cosines)) & ops.isfinite(size)
    unit = ops.where(known & both, unit, ops.eye(unit.shape[0], dtype="float64"))
    cosines = ops.where(known & present, cosines, 0.0)
    target, size = ops.where(known, target, 1.0), ops.where(known, size, 1.0)
    own = ops.where(known, squared / ops.square(length), 1.0)
    matrix = nearest_semidefinite(_bordered(unit, cosines, own))
    scale = ops.concatenate([ops.ones_like(cosines) / size, ops.ones((1,), "float64")])
    matrix = ops.pad(scale[:, None] * matrix * scale, [[0, 1], [0, 1]])
    linear = ops.concatenate([1.0 - there, ops.stack([-target / (2.0 * size), ops.zeros_like(size)])])
    needed = there * (target - cosines) / size
    apart = ops.convert_to_tensor([-1.0, 1.0], "float64")
    rows = ops.stack([ops.pad(there, [[0, 2]]), ops.concatenate([needed, apart])])
    x = there * standard_qp(matrix, linear, rows, ops.eye(2, dtype="float64")[0])[:-2]
    return ops.where(known, x / ops.sum(x), float("nan"))


def _bordered(matrix, vector, number):
    """Return a matrix with one more row and column."""
    top = ops.concatenate([matrix, vector[:, None]], axis=1)
    return ops.concatenate([top, ops.concatenate([vector, number[None]])[None]], axis=0)
