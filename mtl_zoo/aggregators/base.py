"""The contract of aggregators."""

import keras
from keras import ops

from mtl_zoo.numerics.preferences import check_one_per_task, check_preferences


class Aggregator(keras.layers.Layer):
    """Turns the Jacobian of the task losses into one direction, which replaces the gradient.

    A subclass implements `call` and creates its state in `build(jacobian_shape)`, where `jacobian_shape` is
    `(T, size)` or a list of such shapes, one per block; `num_tasks` reads T from it. A size may be `None`,
    unless the method keeps state per parameter, by `add_block_weights`. Computation is in float32 whatever
    the global policy.

    Call arguments:
        jacobian: Tensor `[T, parameters]`, or a list of blocks `[T, size]`. Row t is the gradient of task t.
        losses: Optional tensor `[T]`, for the methods that weigh by it.
        present: Optional boolean tensor `[T]`: which tasks have a labelled item in the batch and reach a
            block. The rows of the others are zero; they leave their state alone. Defaults to all.

    Returns:
        The direction in the structure of `jacobian`, without the task axis.

    In a block that a task does not reach its row is zero, as its gradient is: sums, inner products and
    lengths over all blocks are right. A method for which a zero would be a vote declares `per_reach`. The
    block of an embedding has the elements of the rows that the batch looked up, so that its size changes.

    Attributes:
        sub_batches: Into how many independent parts the method needs the batch split. If it is n > 1, every
            block has a leading axis: `[n, T, size]`, one Jacobian per part.
        parts_in_representation: Whether a method of several parts makes sense of the gradients of a
            representation, in which those of different parts have no element in common.
        products: Method that takes the Jacobian and returns the inner products that the call takes as
            `gramian`, where the Jacobian at hand has only some of the columns; `None` if it takes none.
        weighs_losses: Whether the method is one of weights of the losses, by which its authors multiply the
            gradients of what belongs to one task (a head) too. Such a method creates the variable
            `loss_weights`, `[T]`, and sets it in every call. With all others the aggregator concerns what
            is shared alone, and heads get the plain gradients of their tasks. A task that reaches nothing
            shared gets its plain gradient in either case.
        per_reach: Whether the gradients of tasks are votes on a parameter, so that one which cannot reach it
            has none. Such a method, which keeps no state, is called once for every set of tasks that reach
            the same blocks, with these blocks, and with only these tasks `present`; last for the largest set.
        state_per_parameter: Whether the method remembers something about every parameter. Such a method must
            know the sizes of all blocks when it is built, and always get the same blocks: gradients of
            variables, all rows of an embedding among them, not of a representation, whose size is that of the
            batch.
        state_per_block: Whether the method remembers something about every block. Such a method must know
            their number when it is built, and always get the same ones, of variables likewise.
    """

    sub_batches = 1
    parts_in_representation = False
    products = None
    weighs_losses = False
    per_reach = False
    state_per_parameter = False
    state_per_block = False

    def __init__(self, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)

    def for_tasks(self, names):
        """Take what was given by names of tasks in their order; the trainer calls it before `build`.

        Args:
            names: Sequence of T names.
        """

    def rebuild(self, jacobian_shape):
        """Forget all state, and create it anew for a Jacobian of another shape.

        Args:
            jacobian_shape: As in `build`.
        """
        for variable in self.weights:
            self._untrack_variable(variable)
        self._tracker.unlock()
        self.build(jacobian_shape)

    def add_task_weights(self, name, jacobian_shape, value=1.0):
        """Create a state of one number per task.

        Args:
            name: Name of the state.
            jacobian_shape: As in `build`.
            value: What it starts with. Defaults to 1.

        Returns:
            Variable `[T]`.
        """
        start = keras.initializers.Constant(value)
        return self.add_weight(
            name=name, shape=(num_tasks(jacobian_shape),), initializer=start, trainable=False
        )

    def add_block_weights(self, name, jacobian_shape):
        """Create a state of zeros with the shape of the Jacobian.

        Args:
            name: Name of the state.
            jacobian_shape: As in `build`.

        Returns:
            List of one variable `[T, size]` per block.

        Raises:
            ValueError: If a size is `None`.
        """
        shapes = _block_shapes(jacobian_shape)
        if any(size is None for shape in shapes for size in shape):
            raise ValueError(
                f"{type(self).__name__} keeps state per parameter: the size of every block of the Jacobian "
                f"must be known when it is built. Received: jacobian_shape={jacobian_shape}"
            )
        return [
            self.add_weight(name=f"{name}_{index}", shape=tuple(shape), initializer="zeros", trainable=False)
            for index, shape in enumerate(shapes)
        ]


class GramianAggregator(Aggregator):
    """Aggregator that weighs the task gradients by numbers found from their inner products alone.

    A subclass implements `compute_weights`. The variable `task_weights`, `[T]`, shows the last ones. Those of
    the losses, in a method that weighs them, are the same before `max_norm` shortens the direction; a task of
    weight 0 has no gradient in what is shared (nothing was weighed), and its loss keeps weight 1.

    Attributes:
        max_norm: The direction is shortened to this norm, or `None`, the default.

    Call arguments:
        gramian: Optional tensor `[T, T]`: the inner products, where the Jacobian at hand has only some of the
            columns, as on one of several replicas. Defaults to those of the Jacobian.
    """

    max_norm = None

    def build(self, jacobian_shape):
        self.task_weights = self.add_task_weights("task_weights", jacobian_shape)
        if self.weighs_losses:
            self.loss_weights = self.add_task_weights("loss_weights", jacobian_shape)

    def products(self, jacobian):
        """Return the inner products of the task gradients, `[T, T]`."""
        return inner_products(jacobian)

    def call(self, jacobian, losses=None, present=None, gramian=None):
        products = self.products(jacobian) if gramian is None else gramian
        weights = self.compute_weights(products, losses, present)
        if self.weighs_losses:
            self.loss_weights.assign(ops.where(weights > 0, weights, 1.0))
        if self.max_norm is not None:
            squared_norm = ops.sum(weights * ops.matmul(products, weights))
            weights = weights * shortening(squared_norm, self.max_norm)
        self.task_weights.assign(weights)
        return keras.tree.map_structure(lambda block: ops.matmul(weights, block), jacobian)

    def compute_weights(self, gramian, losses, present):
        """Return the weights `[T]` of the task gradients in the direction.

        Args:
            gramian: Tensor `[T, T]`, inner products of the task gradients.
            losses: As in the call.
            present: As in the call.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `compute_weights`.")


class PreferenceAggregator(GramianAggregator):
    """Gramian aggregator that takes a preference among the tasks.

    Args:
        preferences: Positive numbers, one per task; what they mean is the method's. Defaults to `None`.

    Raises:
        ValueError: If a number is not positive or (when built) their number is not that of the tasks.
    """

    def __init__(self, preferences=None, **kwargs):
        super().__init__(**kwargs)
        self.preferences = check_preferences(preferences)

    def build(self, jacobian_shape):
        super().build(jacobian_shape)
        check_one_per_task(self.preferences, num_tasks(jacobian_shape))


def shortening(squared_norm, max_norm):
    """Return the factor, at most 1, that shortens a direction to a norm."""
    return max_norm / ops.sqrt(ops.maximum(squared_norm, max_norm**2))


def inner_products(jacobian):
    """Return the inner products `[T, T]` of the rows of a Jacobian, summed over its blocks."""
    return sum(_row_products(block) for block in keras.tree.flatten(jacobian))


def cross_gramian(jacobian):
    """Return the inner products `[T, T]` of the first sub-batch's rows (first axis) with the second's."""
    blocks = keras.tree.flatten(jacobian)
    return sum(ops.matmul(block[0], ops.transpose(block[1])) for block in blocks)


def num_tasks(jacobian_shape):
    """Return T from the shape `(T, size)` of a Jacobian or the list of its blocks' shapes."""
    return _block_shapes(jacobian_shape)[0][-2]


def num_blocks(jacobian_shape):
    """Return the number of blocks of a Jacobian of this shape, as in `num_tasks`."""
    return len(_block_shapes(jacobian_shape))


def _row_products(block):
    """Return `block @ block.T`; for few tasks row by row, which XLA compiles to quicker code on a CPU."""
    if block.shape[0] < 5:
        return ops.stack([ops.matmul(block, row) for row in ops.unstack(block)])
    return ops.matmul(block, ops.transpose(block))


def _block_shapes(jacobian_shape):
    return jacobian_shape if isinstance(jacobian_shape[0], (tuple, list)) else [jacobian_shape]
