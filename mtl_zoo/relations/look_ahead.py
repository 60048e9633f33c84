"""How far a step for one task would lower the losses of the others, without making it."""

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, forward, optimizer_parts, step
from mtl_zoo.training.batch import count
from mtl_zoo.training.columns import reach, unstacked


def look_ahead(problem, optimizer, portions):
    """Return what a step down the gradient of task i alone, in what tasks share, makes of the loss of task j.

    Losses are those of training, with the same random numbers before and after. No variable is written.

    Args:
        problem: `Problem`, as `problem.looking_ahead` returns it.
        optimizer: `keras.optimizers.Optimizer`, whose learning rate now is the length of the step.
        portions: As `batch.portions` returns them.

    Returns:
        Pair of tensors `[T, T]`: `1 - L_j(after) / L_j`, 0 where it is not known; and 1 where it is, else 0:
        where both tasks have labels in the batch, the loss is positive, and all is finite.

    Raises:
        ValueError: If no two tasks share a variable.
    """
    batch = count(problem, portions)
    with keras.StatelessScope():  # takes what the model would write of its state
        found = step.compute(problem, batch, optimizer.scale_loss(1.0))
    variables, rows = _shared(problem, optimizer, found.columns)
    look = _loss_function(problem, batch, variables)
    after = tf.stack([look(_moved(variables, row)) for row in rows])
    values = (found.losses - after) / found.losses
    present = batch.counts > 0
    known = present[:, tf.newaxis] & present & (found.losses > 0) & tf.math.is_finite(values)
    return tf.where(known, values, 0.0), tf.cast(known, values.dtype)


def _shared(problem, optimizer, columns):
    """Return the variables that several tasks reach, and per task the steps of its own in each."""
    number = len(problem.tasks)
    rates = optimizer_parts.rates(optimizer, problem.variables)
    triples = zip(problem.variables, rates, columns, strict=True)
    shared = [triple for triple in triples if sum(reach(triple[2], number)) > 1]
    if not shared:
        names = [task.name for task in problem.tasks]
        raise ValueError(f"A model must have variables that two tasks share. Received: none for {names}")
    steps = [
        [None if g is None else tf.cast(rate, g.dtype) * tf.convert_to_tensor(g) for g in gradients]
        for _, rate, column in shared
        for gradients in [unstacked(column, number)]
    ]
    return [variable for variable, *_ in shared], list(zip(*steps, strict=True))


def _moved(variables, steps):
    """Return values of variables after steps, of which some are `None`."""
    pairs = zip(variables, steps, strict=True)
    return [tf.convert_to_tensor(v.value) if s is None else v.value - tf.cast(s, v.dtype) for v, s in pairs]


def _loss_function(problem, batch, variables):
    """Return a function from values of variables to the losses `[T]`, traced once for all tasks."""

    def look(values):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return forward.measure(problem, batch)

    if tf.executing_eagerly() or distribution.num_replicas() > 1:  # replicas do not meet in a graph within
        return look
    return tf.function(look, autograph=False)
