"""Gradients of several losses at once."""

import tensorflow as tf

from mtl_zoo.aggregators.base import GramianAggregator, inner_products
from mtl_zoo.training import distribution


def multitask(
    tape, losses, variables, balancer=None, aggregator=None, present=None, regularization=None, parts=None
):
    """Return one gradient per variable out of one loss per task.

    Which variables are shared is found from the tape: a variable that one task reaches gets that task's
    gradient, one that several reach gets the aggregator's direction. Works eagerly and in a `tf.function`.

    Args:
        tape: `tf.GradientTape` that recorded the losses; persistent if there is an aggregator.
        losses: Sequence of T scalar tensors.
        variables: List of variables, the balancer's trainable ones among them if they are to be trained.
        balancer: `Balancer` that weighs the losses. Defaults to their sum.
        aggregator: `Aggregator` of the task gradients of shared variables. Defaults to their sum, in one
            backward pass.
        present: Boolean tensor `[T]`: which tasks have labels in the batch. Defaults to all.
        regularization: Scalar tensor, recorded by the tape, whose gradient is added as it is.
        parts: For an aggregator with `sub_batches` n > 1: n sequences of T losses, one per part of the batch.

    Returns:
        List of one gradient (or `None`) per variable.

    Raises:
        ValueError: If there is no loss, or the number of parts is not what the aggregator needs.

    Example:

    >>> x, y = tf.Variable([1.0, 2.0]), tf.Variable(3.0)
    >>> with tf.GradientTape(persistent=True) as tape:
    ...     losses = [tf.reduce_sum(x) * y, x[0] - x[1]]
    >>> multitask(tape, losses, [x, y], aggregator=mz.aggregators.Mean())[0].numpy()
    array([2., 1.], dtype=float32)
    """
    losses = list(losses)
    if not losses:
        raise ValueError("There must be at least one loss. Received: losses=[]")
    _check_parts(aggregator, parts)
    seeds, balancer_gradients = balance(losses, balancer, present)
    pull = puller(tape)
    extra = [] if regularization is None else [regularization]
    if aggregator is None:
        gradients = weighted(pull, losses, variables, seeds, extra)
    else:
        parts = parts or [losses]
        rows = jacobian(pull, parts, variables, [tf.unstack(seeds, len(losses))] * len(parts))
        gradients = aggregate(rows, aggregator, losses, present)
        gradients = add(gradients, pull(extra, variables)) if extra else gradients
    return [balancer_gradients.get(id(v), g) for v, g in zip(variables, gradients, strict=True)]


def balance(losses, balancer=None, present=None):
    """Differentiate the balancer.

    Args:
        losses: List of T scalar tensors.
        balancer: As in `multitask`.
        present: As in `multitask`.

    Returns:
        Tuple of the derivatives `[T]` of the balancer's scalar by the losses, and a dict of the gradients of
        its trainable variables by `id` of the variable.
    """
    if balancer is None:
        return tf.ones(len(losses)), {}
    stacked = tf.stack(losses)
    with tf.GradientTape() as tape:
        tape.watch(stacked)
        scalar = balancer(stacked, present)
    variables = balancer.trainable_variables
    seeds, *gradients = tape.gradient(scalar, [stacked, *variables])
    return seeds, {id(v): g for v, g in zip(variables, gradients, strict=True)}


def puller(tape, scale=1.0):
    """Return a function that takes gradients from a tape.

    Args:
        tape: `tf.GradientTape`.
        scale: Factor of the derivatives on their way back through the model, so that they do not vanish in
            half precision; the gradients, in float32 then, are divided by it. Defaults to 1.

    Returns:
        Function `(targets, sources, derivatives=None) -> gradients`, with the derivatives by the targets,
        which default to 1; a target whose derivative is `None` counts for nothing.
    """

    def pull(targets, sources, derivatives=None):
        derivatives = [tf.ones_like(target) for target in targets] if derivatives is None else derivatives
        reached = [pair for pair in zip(targets, derivatives, strict=True) if pair[1] is not None]
        if not reached:
            return [None] * len(sources)
        targets, derivatives = zip(*reached, strict=True)
        seeds = [tf.cast(d, t.dtype) for t, d in zip(targets, scaled(derivatives, scale), strict=True)]
        gradients = tape.gradient(targets, sources, output_gradients=seeds)
        return scaled(map(_in_full_precision, gradients), 1.0 / scale)

    return pull


def weighted(pull, losses, variables, seeds, extra=()):
    """Return the gradients of the weighted sum of the losses, in one backward pass.

    Args:
        pull: As `puller` returns it.
        losses: List of T scalar tensors.
        variables: As in `multitask`.
        seeds: Tensor `[T]`, as `balance` returns it.
        extra: List of scalar tensors whose gradients are added as they are. Defaults to none.

    Returns:
        List of one gradient (or `None`) per variable.
    """
    derivatives = [*tf.unstack(seeds, len(losses)), *map(tf.ones_like, extra)]
    return pull([*losses, *extra], variables, derivatives)


def jacobian(pull, parts, sources, derivatives):
    """Return the gradients of every task.

    Args:
        pull: As `puller` returns it.
        parts: List of one list of T losses per part of the batch.
        sources: List of variables or tensors.
        derivatives: List of one list of T scalars per part: the derivatives by the losses.

    Returns:
        List of T lists of one gradient per source, or `None` where the task does not reach it. With more than
        one part, a gradient has a leading axis for them.
    """
    rows = []
    for losses, seeds in zip(zip(*parts, strict=True), zip(*derivatives, strict=True), strict=True):
        found = [pull([loss], sources, [seed]) for loss, seed in zip(losses, seeds, strict=True)]
        rows.append(found[0] if len(parts) == 1 else [_stack(column) for column in zip(*found, strict=True)])
    return rows


def aggregate(rows, aggregator, losses, present=None, shares=None, num_local=0):
    """Join the gradients of several tasks.

    What more than one task reaches gets the aggregator's direction, what one task reaches its gradient; times
    the weight of its loss, if the aggregator weighs losses and the task has a gradient in what is shared.

    Args:
        rows: As `jacobian` returns them.
        aggregator: `Aggregator`; it sees the variables that more than one task reaches.
        losses: List of T scalar tensors, or tensor `[T]`.
        present: As in `multitask`.
        shares: Tensor `[parts, T]`, for an aggregator with sub-batches: what share of a task's labelled items
            each part has. A part with none takes the gradient of all. Defaults to `None`: equal shares.
        num_local: Number of leading sources of which this replica has some elements only: inner products of
            their gradients are summed over all replicas. Defaults to 0.

    Returns:
        List of one gradient (or `None`) per source.
    """
    shares = _shares_of_parts(aggregator.sub_batches, len(rows), shares)
    columns = list(zip(*rows, strict=True))
    reach = [tuple(g is not None for g in column) for column in columns]
    shared = [index for index, tasks in enumerate(reach) if sum(tasks) > 1]
    found = {}
    for group in _groups(shared, reach, aggregator.per_reach):
        blocks = [_block(columns[index], shares) for index in group]
        concerned = [any(tasks) for tasks in zip(*[reach[index] for index in group], strict=True)]
        known = _known_products(blocks, sum(index < num_local for index in group), num_local, aggregator)
        directions = aggregator(blocks, tf.stack(losses), _both(present, concerned), **known)
        found |= dict(zip(group, directions, strict=True))
    weights = [None] * len(rows)
    if shared and aggregator.weighs_losses:
        concerned = [any(row[index] is not None for index in shared) for row in rows]
        weights = [
            w if c else None for w, c in zip(tf.unstack(aggregator.loss_weights), concerned, strict=True)
        ]
    return [
        tf.reshape(found[index], _shape(column, shares)) if index in found else _own(column, shares, weights)
        for index, column in enumerate(columns)
    ]


def concerned(rows):
    """Return which tasks reach a source that another task reaches too, as a list of booleans.

    Args:
        rows: As `jacobian` returns them.
    """
    reach = [[g is not None for g in column] for column in zip(*rows, strict=True)]
    return [any(column[task] and sum(column) > 1 for column in reach) for task in range(len(rows))]


def total(rows):
    """Sum the gradients of several tasks.

    Args:
        rows: As `jacobian` returns them.

    Returns:
        List of one gradient (or `None`) per source.
    """
    return [_total(column) for column in zip(*rows, strict=True)]


def add(gradients, others):
    """Add two lists of gradients, of which any may be `None`."""
    return [_total(pair) for pair in zip(gradients, others, strict=True)]


def scaled(gradients, scale):
    """Multiply gradients, of which some may be `None`, by a number; unless that is the float 1."""
    if isinstance(scale, float) and scale == 1.0:
        return list(gradients)
    return [None if g is None else tf.convert_to_tensor(g) * scale for g in gradients]


def without_duplicates(gradient):
    """Return a gradient, or `None`; a sparse one with one slice per index.

    An embedding's gradient has a slice for every token. Optimizers that square it, as Adam, must square sums.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(indices))
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


def shared_sizes(model, tasks):
    """Return the number of elements of every variable that more than one task reaches.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `Task`.

    Returns:
        List of integers, in the order of `model.trainable_variables`.
    """
    variables = model.trainable_variables
    rows = []

    def differentiate(inputs):
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(inputs, training=True)
        rows[:] = [tape.gradient(outputs[task.name], variables) for task in tasks]

    @tf.function(autograph=False)
    def trace(inputs):
        tf.distribute.get_strategy().run(differentiate, args=(inputs,))

    trace.get_concrete_function(tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), model.input))
    reached = [sum(g is not None for g in column) for column in zip(*rows, strict=True)]
    return [v.shape.num_elements() for v, count in zip(variables, reached, strict=True) if count > 1]


def _in_full_precision(gradient):
    """Return a gradient, or `None`, in at least float32, where the smallest ones can be divided."""
    half = gradient is not None and gradient.dtype in (tf.float16, tf.bfloat16)
    return tf.cast(gradient, tf.float32) if half else gradient


def _check_parts(aggregator, parts):
    needed = 1 if aggregator is None else aggregator.sub_batches
    found = 1 if parts is None else len(parts)
    if needed != found:
        raise ValueError(
            f"`parts` must have the losses of as many parts of the batch as {type(aggregator).__name__} "
            f"needs, {needed}. Received: {found}"
        )


def _total(gradients):
    """Add gradients, of which any may be `None`; one alone stays as it is, sparse for instance."""
    found = [g for g in gradients if g is not None]
    if len(found) < 2:
        return found[0] if found else None
    return tf.add_n([tf.convert_to_tensor(g) for g in found])


def _stack(gradients):
    return None if gradients[0] is None else tf.stack([tf.convert_to_tensor(g) for g in gradients])


def _shares_of_parts(number, num_tasks, shares):
    """Return one tensor `[parts]` per task, equal ones by default; `None` without parts."""
    if number == 1:
        return None
    equal = tf.fill([number, num_tasks], 1.0 / number)
    return tf.unstack(equal if shares is None else shares, num_tasks, axis=1)


def _groups(shared, reach, per_reach):
    """Divide the shared sources in those that the aggregator gets together: by reach, the widest last."""
    if not per_reach:
        return [shared] if shared else []
    kinds = sorted({reach[index] for index in shared}, key=lambda tasks: (sum(tasks), tasks))
    return [[index for index in shared if reach[index] == tasks] for tasks in kinds]


def _both(present, concerned):
    """Return which tasks are present and concerned; `None` for all."""
    return present if all(concerned) else tf.logical_and(True if present is None else present, concerned)


def _known_products(blocks, number, num_local, aggregator):
    """Return the inner products over all replicas, if the first `number` blocks are parts of larger ones."""
    if not num_local or not isinstance(aggregator, GramianAggregator):
        return {}
    products = [distribution.all_reduce(inner_products(blocks[:number]))] if number else []
    products += [inner_products(blocks[number:])] if number < len(blocks) else []
    return {"gramian": tf.add_n(products)}


def _block(column, shares):
    """Stack the gradients of one source to `[tasks, size]`, zeros where a task does not reach it.

    With sub-batches, to `[sub_batches, tasks, size]`.
    """
    found = next(g for g in column if g is not None)
    rows = [tf.zeros_like(found) if g is None else tf.convert_to_tensor(g) for g in column]
    if shares is None:
        return tf.stack([tf.reshape(row, [-1]) for row in rows])
    rows = [tf.reshape(row, [row.shape[0], -1]) for row in rows]
    return tf.stack([_without_gaps(row, share) for row, share in zip(rows, shares, strict=True)], axis=1)


def _without_gaps(parts, share):
    """Return the gradients of all parts, `[parts, size]`, that of all items where a part has none."""
    return tf.where(share[:, tf.newaxis] > 0, parts, _whole(parts, share))


def _whole(gradient, share):
    """Return the gradient of all items out of those of the parts."""
    return gradient if share is None else tf.tensordot(tf.cast(share, gradient.dtype), gradient, axes=1)


def _shape(column, shares):
    found = tf.shape(tf.convert_to_tensor(next(g for g in column if g is not None)))
    return found if shares is None else found[1:]


def _own(column, shares, weights):
    """Return the gradient of a source that at most one task reaches."""
    shares = [None] * len(column) if shares is None else shares
    for gradient, share, weight in zip(column, shares, weights, strict=True):
        if gradient is not None:
            return _times(_whole(gradient, share), weight)
    return None


def _times(gradient, weight):
    """Multiply a gradient, which may be sparse and stays so, by a number, unless that is `None`."""
    if weight is None:
        return gradient
    if isinstance(gradient, tf.IndexedSlices):
        values = _times(gradient.values, weight)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(weight, gradient.dtype)
