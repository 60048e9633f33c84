"""One update of a model on several tasks, as a function of the problem and the batch.

A task's loss is the sum of the losses of its labelled items over their number, on all replicas and in all
portions. What is differentiated are the sums of one replica; they are divided by numbers that all replicas
know, and added up before the aggregator sees them. The model's own losses count by the number of examples. So
several replicas or portions compute what one device computes on the joined batch.
"""

import dataclasses

import tensorflow as tf

from mtl_zoo.training import aggregation, distribution, finite, forward, gradients
from mtl_zoo.training.aggregation import Joined


@dataclasses.dataclass(frozen=True)
class Step:
    """What a batch says about the next update.

    Args:
        gradients: List of one gradient (or `None`) per variable of the problem, the same on all replicas.
        losses: Losses of the tasks, `[T]`.
        counts: Number (or weight) of each task's labelled items in the whole batch, `[T]`.
        extents: How much the batch counts in the means of the logs, `[T]`.
        seeds: Derivatives of the balanced loss by the losses, `[T]`.
        balancer_gradients: Gradients of the balancer's trainable variables, by `id` of the variable.
        items: What `Task.items` returns for every task, one list per portion.
        penalties: List of the model's own losses, added up, and the number of examples, per portion; empty if
            there are none.
        joined: Which tasks' gradients the aggregator joined with others, a list of T booleans; the rest stay
            as they are.
        rows: List of one list of gradients per task; `None` after one backward pass for all.
        squares: Sums of squares of the gradients that were joined, `[T]`, where they are known; else `None`.
        sources: Which sources got the aggregator's direction, as in `Joined`.
    """

    gradients: list
    losses: tf.Tensor
    counts: tf.Tensor
    extents: tf.Tensor
    seeds: tf.Tensor
    balancer_gradients: dict
    items: list
    penalties: list
    joined: list
    rows: list | None
    squares: tf.Tensor | None
    sources: list

    def bad_rows(self):
        """Return which tasks have a gradient that is not finite or too large, `[T]`.

        After one backward pass for all, the losses with their weights stand for the gradients.
        """
        if self.rows is None:
            return finite.bad_squares(tf.square(self.seeds * self.losses))
        return finite.bad_rows(self.rows)

    def suspects(self):
        """Return which tasks are likely why the step is not used, `[T]`: else those of huge losses."""
        rows = self.bad_rows()
        return tf.where(tf.reduce_any(rows), rows, finite.bad_squares(tf.square(self.losses)))

    def faults(self):
        """Return boolean scalars, of which one is true if a loss or a gradient must not be used.

        What the aggregator joins may be bad where its direction is not; all else is in the gradients.
        """
        final = [*self.gradients, *self.balancer_gradients.values()]
        bad = [finite.not_finite(final), ~finite.all_finite([self.losses])]
        if any(self.joined):
            known = self.squares is not None
            bad.append(tf.reduce_any(finite.bad_squares(self.squares) if known else self.bad_rows()))
        return bad


def compute(problem, batch, scale=1.0):
    """Return the `Step` of one batch, which may be spread over replicas and worked off in portions.

    Args:
        problem: `Problem`.
        batch: `Batch`.
        scale: Loss scale of the optimizer: factor of the derivatives on their way back through the model. The
            gradients are divided by it. Defaults to 1.
    """
    way = _in_representation if problem.trunk_and_heads else _in_shared
    joined, rows, balanced, passes = way(problem, batch, scale)
    return Step(
        gradients=_final(problem, joined.gradients),
        losses=balanced.losses,
        counts=batch.counts,
        extents=batch.extents,
        seeds=balanced.seeds,
        balancer_gradients=balanced.gradients,
        items=[found.items for found in passes],
        penalties=[penalty for found in passes for penalty in found.penalties],
        joined=joined.tasks,
        rows=rows,
        squares=joined.squares,
        sources=joined.sources,
    )


def _final(problem, found):
    """Return the gradients as the optimizer gets them."""
    if problem.as_keras and problem.aggregator is None:
        return list(found)
    return list(map(gradients.without_duplicates, found))


def _in_shared(problem, batch, scale):
    """Return the gradients by way of those of the variables."""
    way = _at_once if len(batch.portions) == 1 else _by_portions
    rows, balanced, passes = way(problem, batch, scale)
    of_tasks, rest = rows[: len(problem.tasks)], rows[len(problem.tasks) :]
    if _is_one_pass(problem, batch):
        joined, of_tasks, rest = _known(problem, rows[0]), None, rows[1:]
    elif problem.aggregator is None:
        joined = _plain(problem, gradients.total(rows))
    else:
        joined = _join(problem, batch, of_tasks, balanced.losses)
        for extra in rest:
            joined = joined._replace(gradients=gradients.add(joined.gradients, extra))
    return joined, of_tasks, balanced, passes


def _is_one_pass(problem, batch):
    """Return whether the gradients of all tasks come out of one backward pass."""
    known = problem.aggregator is None or _has_weights(problem)
    return known and (len(batch.portions) == 1 or problem.balancer is None)


def _has_weights(problem):
    """Return whether the aggregator's weights are known before the gradients, as `lasting.Weights`."""
    return hasattr(problem.aggregator, "pull")


def _at_once(problem, batch, scale):
    """Return the gradients of the one portion, its balanced losses and its pass in a list."""
    tape, found = forward.record(problem, batch, 0)
    balanced = forward.balance(problem, batch, found.sums)
    rows = _rows(problem, batch, tape, found, balanced.seeds, scale)
    return distribution.all_reduce(rows), balanced, [found]


def _by_portions(problem, batch, scale):
    """Return the gradients of all portions, one after the other, balanced at the end, likewise."""
    rows, passes, number = [], [], len(problem.tasks)
    for index in range(len(batch.portions)):
        with tf.control_dependencies([g for row in rows for g in row if g is not None]):
            tape, found = forward.record(problem, batch, index)
        latest = _rows(problem, batch, tape, found, tf.ones_like(batch.counts), scale)
        rows = list(map(gradients.add, rows, latest)) if rows else latest
        passes.append(found)
    rows = distribution.all_reduce(rows)
    balanced = forward.balance(problem, batch, forward.total([found.sums for found in passes]))
    if not _is_one_pass(problem, batch):
        rows[:number] = map(gradients.scaled, rows, tf.unstack(balanced.seeds, number))
    return rows, balanced, passes


def _rows(problem, batch, tape, found, seeds, scale):
    """Return the gradients of every task, then those of the model's own losses, if any; or one of all."""
    pull, derivatives = gradients.puller(tape, scale), batch.derivatives(seeds)
    if _has_weights(problem):
        rows = [problem.aggregator.pull(pull, found.sums[0], problem.variables, derivatives[0])]
    elif _is_one_pass(problem, batch):
        ones = map(tf.ones_like, found.targets)
        return [pull([*found.sums[0], *found.targets], problem.variables, [*derivatives[0], *ones])]
    else:
        rows = gradients.jacobian(pull, found.sums, problem.variables, derivatives)
    return rows + ([pull(found.targets, problem.variables)] if found.targets else [])


def _in_representation(problem, batch, scale):
    """Return the gradients by way of those of the tensors where the shared part ends.

    A replica has its examples' elements of these tensors, and all of the variables behind them. Of those,
    one that several tasks reach is a block of the Jacobian like the tensors.
    """
    with tf.GradientTape(persistent=True) as tape:
        cuts = [forward.record_cut(problem, batch, index, tape) for index in range(len(batch.portions))]
        passes = [found for _, _, found in cuts]
        sums = forward.total([found.sums for found in passes])
    balanced = forward.balance(problem, batch, sums)
    befores, afters = ([x for cut in cuts for x in cut[side]] for side in (0, 1))
    pull, sources = gradients.puller(tape, scale), [*afters, *problem.variables]
    seeds = batch.derivatives(balanced.seeds)
    if _has_weights(problem):
        rows = _reduced([problem.aggregator.pull(pull, sums[0], sources, seeds[0])], len(afters))
        joined, rows = problem.aggregator.joined(rows[0], len(afters)), None
    else:
        rows = _reduced(gradients.jacobian(pull, sums, sources, seeds), len(afters))
        joined = _join(problem, batch, rows, balanced.losses, len(afters))
    return _pulled(problem, joined, pull, (befores, afters), passes), rows, balanced, passes


def _pulled(problem, joined, pull, cut, passes):
    """Return what is joined with the directions at the cut on their way back to the variables before it."""
    before, after = cut
    number = len(after)
    extra = pull([x for found in passes for x in found.targets], [*after, *problem.variables])
    directions = gradients.add(joined.gradients[:number], extra[:number])
    local = gradients.add(extra[number:], pull(before, problem.variables, directions))
    found = gradients.add(joined.gradients[number:], distribution.all_reduce(local))
    return joined._replace(gradients=found)


def _reduced(rows, number):
    """Add up the gradients of all replicas, but for those of the first sources."""
    behind = distribution.all_reduce([row[number:] for row in rows])
    return [row[:number] + whole for row, whole in zip(rows, behind, strict=True)]


def _join(problem, batch, rows, losses, num_local=0):
    return aggregation.join(rows, problem.aggregator, losses, batch.counts > 0, batch.shares(), num_local)


def _known(problem, found):
    """Return the gradients of one pass for all tasks as `Joined`."""
    return problem.aggregator.joined(found) if _has_weights(problem) else _plain(problem, found)


def _plain(problem, found):
    """Return gradients in which no aggregator joined any tasks."""
    return Joined(found, [False] * len(problem.tasks), None)
