"""The way forward: from a portion of a batch to the sums of the tasks' losses, and on to the losses."""

import contextlib
import functools
from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, gradients, masks, together
from mtl_zoo.training.batch import dealt, num_examples


class Pass(NamedTuple):
    """What came out of the model on one portion of a batch.

    Args:
        sums: Sums of the tasks' losses, one list of T scalars per part that the aggregator wants.
        items: What `Task.items` returns for every task.
        penalties: List of the model's own losses, added up, and the number of examples; empty if it has none.
        targets: List of what these add to those of the whole batch, a scalar, likewise.
    """

    sums: list
    items: list
    penalties: list
    targets: list


class Balanced(NamedTuple):
    """The losses of the whole batch, and what the balancer makes of them.

    Args:
        losses: Tensor `[T]`.
        seeds: Tensor `[T]`: derivatives of the balanced loss by the losses.
        gradients: Dict of the gradients of the balancer's trainable variables by `id` of the variable.
    """

    losses: tf.Tensor
    seeds: tf.Tensor
    gradients: dict


def record(problem, batch, index):
    """Run the model on a portion of a batch.

    Returns:
        Tuple of the tape, the `Pass`, and lists of the tensors before and after the cut, empty without one.
    """
    with tf.GradientTape(persistent=True) as tape:
        if problem.trunk_and_heads:
            *cut, found = record_cut(problem, batch, index, tape)
        else:
            cut, logits = ([], []), problem.model(batch.portions[index][0], training=True)
            found = _passed(problem, batch, index, logits)
    return tape, found, cut


def record_cut(problem, batch, index, tape):
    """Run trunk and heads on a portion; return the tensors before and after the cut, and the `Pass`."""
    (trunk, heads), x = problem.trunk_and_heads, batch.portions[index][0]
    before = keras.tree.flatten(trunk(x, training=True))
    with tape.stop_recording():
        after = [tf.identity(tensor) for tensor in before]
    tape.watch(after)
    masks.keep(before, after)
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, x)  # sparse ones stay sparse
    return before, after, _passed(problem, batch, index, heads([after, inputs], training=True))


def balance(problem, batch, sums):
    """Return the `Balanced` losses of a batch.

    Args:
        problem: `Problem`.
        batch: `Batch`.
        sums: Sums of the losses of all portions of this replica, as in `Pass`.
    """
    losses = means(batch, sums)
    each = tf.unstack(losses, len(problem.tasks))
    return Balanced(losses, *gradients.balance(each, problem.balancer, batch.counts > 0))


def knows_seeds(problem, batch):
    """Return whether the weights of losses are known in every portion, before the losses of the others."""
    return len(batch.portions) == 1 or problem.balancer is None


def is_summed(problem, batch):
    """Return whether one backward pass gives the gradients of the sum of all losses, and no task its own."""
    return problem.aggregator is None and knows_seeds(problem, batch)


def measure(problem, batch):
    """Return the losses of a batch as the model is now, `[T]`; leaves everything as it is."""
    return means(batch, sums(problem, batch))


def sums(problem, batch):
    """Return the sums of the losses of all portions of this replica, as in `Pass`, as `measure` does."""
    with restored(problem.model.non_trainable_variables):
        found = [
            _sums(problem, batch, index, problem.model(x, training=True))[0]
            for index, (x, *_) in enumerate(batch.portions)
        ]
    return total(found)


def means(batch, sums):
    """Return the losses of the whole batch, `[T]`, out of their sums on this replica, as in `Pass`."""
    totals = distribution.all_reduce(tf.add_n([tf.stack(part) for part in sums]))
    return tf.math.divide_no_nan(totals, batch.divisors)


def total(sums):
    """Add up the sums of several portions."""
    return functools.reduce(_add, sums)


@contextlib.contextmanager
def restored(variables):
    """Give variables their values back at the end of a block."""
    values = [tf.identity(variable.value) for variable in variables]
    yield
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _passed(problem, batch, index, logits):
    sums, items = _sums(problem, batch, index, logits)
    found = problem.model.losses if problem.penalized else []
    if not found:
        return Pass(sums, items, [], [])
    penalty, number = tf.add_n(found), num_examples(batch.portions[index][1])
    target = penalty * tf.cast(tf.math.divide_no_nan(number, batch.size), penalty.dtype)
    return Pass(sums, items, [(penalty, number)], [target])


def _sums(problem, batch, index, logits):
    """Return the sums of the tasks' losses, one list per part, and the items of the whole portion."""
    _, labels, sample_weight = batch.portions[index]
    if is_summed(problem, batch):
        found, items = together.sums(problem, labels, logits, sample_weight)
        return [found], items
    items = problem.items(labels, logits, sample_weight)
    weights = [weights for _, _, weights in items]
    parts = dealt(weights, batch.first_numbers[index], problem.num_parts)
    return [_sums_of_part(problem.tasks, items, part) for part in parts], items


def _sums_of_part(tasks, items, weights):
    found = zip(tasks, items, weights, strict=True)
    return [task.sum_loss(values, outputs, weight) for task, (values, outputs, _), weight in found]


def _add(first, second):
    return [list(map(tf.add, *parts)) for parts in zip(first, second, strict=True)]
