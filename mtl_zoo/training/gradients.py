"""Gradients of several losses at once."""

import tensorflow as tf

from mtl_zoo.training import one_hot, sparse
from mtl_zoo.training.aggregation import join
from mtl_zoo.training.columns import of_rows


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
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1  # others may make statistics together
        derivatives = [tf.unstack(seeds, len(losses))] * len(parts)
        found = columns(pull, parts, variables, derivatives, by_seeds=alone)
        gradients = join(found, len(losses), aggregator, losses, present).gradients
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


def columns(pull, parts, variables, derivatives, by_seeds):
    """Return the gradients of every task as columns, by one mapped pass where that may be and pays.

    Args:
        pull: As for `jacobian`.
        parts: Likewise.
        variables: List of variables.
        derivatives: As for `jacobian`.
        by_seeds: Whether one pass may be mapped over the tasks, as in `one_hot`.
    """
    found = one_hot.jacobian(pull, parts, derivatives, variables) if by_seeds else None
    return of_rows(jacobian(pull, parts, variables, derivatives)) if found is None else found


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
    return [sparse.times(g, scale) for g in gradients]


def shared_sizes(model, tasks):
    """Return the number of elements of every variable that more than one task reaches.

    Args:
        model: Functional `keras.Model` with a dict of outputs, keyed by task name.
        tasks: Sequence of `Task`.

    Returns:
        List of integers, in the order of `model.trainable_variables`.
    """
    pairs = zip(model.trainable_variables, reaching(model, tasks), strict=True)
    return [variable.shape.num_elements() for variable, names in pairs if len(names) > 1]


def reaching(model, tasks):
    """Return the names of the tasks that reach a variable, a list for every trainable one.

    Args:
        model: As for `shared_sizes`.
        tasks: Likewise.
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
    names = [task.name for task in tasks]
    columns = zip(*rows, strict=True)
    return [[name for name, g in zip(names, column, strict=True) if g is not None] for column in columns]


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
    return sparse.total(found)


def _stack(gradients):
    return None if gradients[0] is None else sparse.stack(gradients)
