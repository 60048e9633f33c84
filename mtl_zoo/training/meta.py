"""What a second batch says of the weights of the training losses: a look ahead that writes nothing."""

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, forward, gradients, optimizer_parts, step
from mtl_zoo.training.batch import count
from mtl_zoo.training.columns import are_stacked


def look_ahead(problem, optimizer, portions, meta):
    """Show the balancer how losses on meta data would change with the weights of the training losses.

    The step ahead is one of plain gradient descent on the training losses with their weights, in all that is
    trained, by the learning rates that the optimizer has now. Both batches see the same random numbers as the
    update that follows. A task counts as absent where a slope by its weight is not finite or too large
    to be squared.

    Args:
        problem: `Problem` whose balancer needs meta data.
        optimizer: `keras.optimizers.Optimizer` of the model.
        portions: As `batch.portions` returns them: the batch of the update.
        meta: One of them, of meta data.
    """
    ahead, balancer = problem.ahead, problem.balancer
    batch, meta = count(ahead, portions), count(ahead, [meta])
    scale, present = optimizer.scale_loss(1.0), batch.counts > 0
    with keras.StatelessScope():  # takes what the model would write of its state
        found = step.compute(ahead, batch, scale)
        weights, _ = gradients.balance(tf.unstack(found.losses, len(ahead.tasks)), balancer, present)
    steps = _steps(ahead, optimizer, found.columns)
    values = [_moved(*pair, weights) for pair in zip(ahead.variables, steps, strict=True)]
    objectives = balancer.meta_objectives(len(ahead.tasks))
    _, rows = gradients_at(ahead, meta, values, objectives, scale)
    slopes = -products(rows, steps)
    known = tf.math.is_finite(tf.square(slopes))
    present &= tf.reduce_all(known, axis=0)
    balancer.look_ahead(tf.where(known, slopes, 0.0), present, meta.counts > 0)


def _steps(problem, optimizer, columns):
    """Return the steps of all tasks in each variable, `[T, size]`; `None` where none reaches it."""
    rates = optimizer_parts.rates(optimizer, problem.variables)
    return [block(*pair) for pair in zip(columns, rates, strict=True)]


def block(column, rate=1.0):
    """Return the gradients of all tasks by a variable times a rate, `[T, size]`; `None` if there are none."""
    if are_stacked(column):
        found = tf.reshape(column, [column.shape[0], -1])
    else:
        there = [None if g is None else tf.reshape(tf.convert_to_tensor(g), [-1]) for g in column]
        found = _stack(there)
    return None if found is None else tf.cast(rate, found.dtype) * found


def _stack(rows):
    """Stack vectors, of which some may be `None`: zeros; `None` if all are."""
    found = next((row for row in rows if row is not None), None)
    return None if found is None else tf.stack([tf.zeros_like(found) if row is None else row for row in rows])


def _moved(variable, ahead, weights):
    """Return the value of a variable after the weighted steps of all tasks."""
    value = tf.convert_to_tensor(variable.value)
    if ahead is None:
        return value
    change = tf.linalg.matvec(ahead, tf.cast(weights, ahead.dtype), transpose_a=True)
    return value - tf.cast(tf.reshape(change, tf.shape(value)), value.dtype)


def gradients_at(problem, batch, values, objectives, scale):
    """Return the losses' sums and the gradients of weighted losses, where the variables have other values.

    Args:
        problem: `Problem`.
        batch: `Batch`.
        values: List of one tensor per variable.
        objectives: Tensor `[M, T]` of the weights.
        scale: As for `step.compute`.

    Returns:
        Tuple of the sums on this replica, as in `forward.Pass`, and a list of M lists of one gradient (or
        `None`) per variable, the same on all replicas.
    """
    scope = keras.StatelessScope(list(zip(problem.variables, values, strict=True)))
    with scope, tf.GradientTape(persistent=True) as tape:
        tape.watch(values)
        sums = forward.sums(problem, batch)
    pull = gradients.puller(tape, scale)
    rows = [pull(sums[0], values, *batch.derivatives(seeds)) for seeds in tf.unstack(objectives)]
    return sums, distribution.all_reduce(rows)


def products(rows, steps):
    """Return the inner products of gradients and steps over all variables, `[M, T]`."""
    found = []
    for column, other in zip(zip(*rows, strict=True), steps, strict=True):
        found_rows = block(column)
        if found_rows is not None and other is not None:
            product = tf.matmul(tf.cast(found_rows, other.dtype), other, transpose_b=True)
            found.append(tf.cast(product, tf.float32))
    return tf.add_n(found)
