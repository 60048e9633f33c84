"""What a second batch adds to an update: what a balancer learns from it, and gradients of its losses."""

import keras
import tensorflow as tf

from mtl_zoo.training import forward, gradients, meta
from mtl_zoo.training.batch import count

LARGEST_LOSS = 1e5  # above which virtual steps stop: they have become too long


def look(problem, optimizer, portions, portion):
    """Show the balancer a batch of meta data.

    Args:
        problem: As for `meta.look_ahead`.
        optimizer: Likewise.
        portions: Likewise.
        portion: Portion of meta data.

    Returns:
        List of what the balancer adds to the gradient of every variable, in which any may be `None`; `None`
        if it adds no gradients at all.
    """
    if problem.balancer.adds_meta_gradients:
        return _weighed(problem, optimizer.scale_loss(1.0), portions, portion)
    return meta.look_ahead(problem, optimizer, portions, portion)


def _weighed(problem, scale, portions, portion):
    """Return the weighted sum of the gradients of the losses on meta data.

    All passes see the same random numbers, those of the update that follows.
    """
    ahead, balancer = problem.ahead, problem.balancer
    batch, other = count(ahead, portions), count(ahead, [portion])
    present = batch.counts > 0
    values = [tf.convert_to_tensor(variable.value) for variable in ahead.variables]
    weights = balancer.virtual_weights(present)
    losses, row = _loss_and_gradient(ahead, batch, values, weights, scale)
    falls = losses - _losses_ahead(ahead, batch, values, (balancer, weights, losses, row), scale)
    _, rows = meta.gradients_at(ahead, other, values, tf.eye(len(ahead.tasks)), scale)
    steps = list(map(meta.block, zip(*rows, row, strict=True)))
    gramian = meta.products([*rows, row], steps)
    found = balancer.weigh_meta(gramian, falls, present, other.counts > 0)
    pairs = zip(rows, tf.unstack(found), strict=True)
    return gradients.total([gradients.scaled(row, weight) for row, weight in pairs])


def _losses_ahead(problem, batch, values, start, scale):
    """Return the training losses after virtual steps of plain gradient descent on their weighted sum.

    Args:
        problem: `Problem`.
        batch: `Batch` of training.
        values: List of one tensor per variable.
        start: Tuple of the balancer, the weights, and the losses and the gradient of their sum at the start.
        scale: As for `step.compute`.
    """
    balancer, weights, losses, row = start
    for _ in range(balancer.virtual_steps - 1):
        values = _moved(values, row, _rate(balancer, weights, losses))
        losses, row = _loss_and_gradient(problem, batch, values, weights, scale)
    values = _moved(values, row, _rate(balancer, weights, losses))
    with keras.StatelessScope(list(zip(problem.variables, values, strict=True))):
        return forward.measure(problem, batch)


def _rate(balancer, weights, losses):
    """Return the length of the next virtual step."""
    loss = tf.reduce_sum(weights * losses)
    return tf.where(tf.math.is_finite(loss) & (loss <= LARGEST_LOSS), balancer.virtual_rate, 0.0)


def _moved(values, row, rate):
    """Return values of variables after a step against a gradient."""
    pairs = zip(values, gradients.scaled(row, rate), strict=True)
    return [v if g is None else v - tf.cast(tf.convert_to_tensor(g), v.dtype) for v, g in pairs]


def _loss_and_gradient(problem, batch, values, weights, scale):
    """Return the losses of the tasks and the gradient of their weighted sum.

    One portion after the other, as in an update, so that one at a time is in memory.
    """
    sums, rows = [], []
    for part in batch.apart():
        with tf.control_dependencies([g for g in tf.nest.flatten(rows) if g is not None]):
            found, row = meta.gradients_at(problem, part, values, weights[tf.newaxis], scale)
        sums, rows = [*sums, found], rows + row
    return forward.means(batch, forward.total(sums)), gradients.total(rows)
