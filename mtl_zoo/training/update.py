"""An update that is made or undone: where a number is not finite, all stays as it was."""

import dataclasses

import keras
import tensorflow as tf

from mtl_zoo.training import balancer_optimizer, distribution, finite, forward, gradients
from mtl_zoo.training.batch import count
from mtl_zoo.training.lasting import compute
from mtl_zoo.training.meta_gradients import look


def make(problem, optimizer, own, portions, logs, meta=None):
    """Make one update, or undo it, and count it.

    Args:
        problem: `Problem`.
        optimizer: `keras.optimizers.Optimizer` of the model.
        own: `keras.optimizers.Optimizer` of the balancer, or `None` if it does not learn.
        portions: As `batch.portions` returns them.
        logs: `Logs`.
        meta: As for `meta.look_ahead`, if the balancer needs it. Defaults to `None`.
    """
    for observe in problem.observers:
        observe(optimizer, portions)
    before = remember(problem)
    given = [x for x in tf.nest.flatten(portions, expand_composites=True) if x is not None]
    with tf.control_dependencies(given):  # at the end of the data, no random number is drawn in vain
        added = None if meta is None else look(problem, optimizer, portions, meta)
        batch = count(problem, portions)
        scale = optimizer.scale_loss(1.0)
        step = compute(problem, batch, scale)
        if added is not None:
            step = dataclasses.replace(step, gradients=gradients.add(step.gradients, added))
    good = ~is_bad(problem, step)
    found = gradients.scaled(step.gradients, scale)
    distribution.apply(optimizer, found, list(problem.variables), good)
    teach(problem, optimizer, own, step, good)
    look_again(problem, batch)

    def keep():
        logs.add_step(problem, batch, step)
        return 0

    def skip():
        undo(before)
        logs.add_skipped(step)
        return 0

    tf.cond(good, keep, skip)


def remember(problem):
    """Return pairs of a variable and its value, for what a step changes besides trainable variables.

    Args:
        problem: `Problem`.
    """
    parts = [problem.model, *problem.methods]
    variables = [variable for part in parts for variable in part.non_trainable_variables]
    return [(variable, tf.identity(variable.value)) for variable in variables]


def undo(before):
    """Give variables their values back.

    Args:
        before: As `remember` returns it.
    """
    for variable, value in before:
        variable.assign(value)


def is_bad(problem, step):
    """Return whether a loss, a gradient, or the state of a layer or a method must not be used, anywhere.

    Args:
        problem: `Problem`.
        step: `Step`.
    """
    bad = step.faults()
    variables = [*problem.model.non_trainable_variables, *_small_state(problem)]
    state = [v.value for v in variables if keras.backend.is_float_dtype(v.dtype)]
    bad.append(~finite.all_finite(state))
    return distribution.all_reduce(tf.cast(tf.reduce_any(bad), tf.float32)) > 0


def teach(problem, optimizer, own, step, good):
    """Let the balancer learn.

    Args:
        problem: `Problem`.
        optimizer: As in `make`.
        own: As in `make`.
        step: `Step`.
        good: Whether it is to be applied, a boolean scalar tensor, the same on all replicas.
    """
    if own is not None:
        variables = problem.balancer.trainable_variables
        found = [step.balancer_gradients[id(variable)] for variable in variables]

        def update(given):
            balancer_optimizer.update(own, optimizer, variables, given)

        distribution.run_if(good, update, (found, step.counts > 0))


def look_again(problem, batch):
    """Show the balancer the losses of the batch after the update, if it wants to see them.

    Args:
        problem: `Problem`.
        batch: `Batch`.
    """
    if problem.balancer is not None and problem.balancer.second_look:
        losses = forward.measure(problem, batch)
        problem.balancer.look(losses, (batch.counts > 0) & tf.math.is_finite(losses))


def _small_state(problem):
    """Return the state of the methods, but not that per parameter, which directions show."""
    small = [m for m in problem.methods if not getattr(m, "state_per_parameter", False)]
    return [variable for method in small for variable in method.non_trainable_variables]
