"""One update of a model on several tasks, as a function of the problem and the batch.

A task's loss is the sum of the losses of its labelled items over their number, on all replicas and in all
portions. What is differentiated are the sums of one replica; they are divided by numbers that all replicas
know, and added up before the aggregator sees them. The model's own losses count by the number of examples. So
several replicas or portions compute what one device computes on the joined batch.
"""

import dataclasses

import tensorflow as tf

from mtl_zoo.training import aggregation, distribution, finite, forward, gradients, rows, sparse
from mtl_zoo.training.aggregation import Joined
from mtl_zoo.training.columns import of_rows


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
        columns: List of the tasks' gradients by each source, as in `columns`; `None` after one backward pass
            for all.
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
    columns: list | None
    squares: tf.Tensor | None
    sources: list

    def bad_rows(self):
        """Return which tasks have a gradient that is not finite or too large, `[T]`.

        After one backward pass for all, the losses with their weights stand for the gradients.
        """
        if self.columns is None:
            return finite.bad_squares(tf.square(self.seeds * self.losses))
        return finite.bad_tasks(self.columns, len(self.joined))

    def suspects(self):
        """Return which tasks are likely why the step is not used, `[T]`; if all or none, huge losses."""
        rows, losses = self.bad_rows(), finite.bad_squares(tf.square(self.losses))
        tells = tf.reduce_any(rows) & ~(tf.reduce_all(rows) & tf.reduce_any(losses))
        return tf.where(tells, rows, losses)

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
    between = problem.space == "representation" and problem.trunk_and_heads
    way = _in_representation if between else _in_shared
    joined, columns, balanced, passes = way(problem, batch, scale)
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
        columns=columns,
        squares=joined.squares,
        sources=joined.sources,
    )


def _final(problem, found):
    """Return the gradients as the optimizer gets them."""
    if problem.as_keras and problem.aggregator is None:
        return list(found)
    return list(map(sparse.without_duplicates, found))


def _in_shared(problem, batch, scale):
    """Return the gradients by way of those of the variables."""
    way = _at_once if len(batch.portions) == 1 else _by_portions
    (columns, others), balanced, passes = way(problem, batch, scale)
    if _is_one_pass(problem, batch):
        joined, columns, others = _known(problem, others[0]), None, others[1:]
    elif problem.aggregator is None:
        joined, others = _plain(problem, gradients.total([*zip(*columns, strict=True), *others])), []
    else:
        joined = _join(problem, batch, columns, balanced.losses)
    for other in others:
        joined = joined._replace(gradients=gradients.add(joined.gradients, other))
    return joined, columns, balanced, passes


def _is_one_pass(problem, batch):
    """Return whether the gradients of all tasks come out of one backward pass."""
    known = problem.aggregator is None or _has_weights(problem)
    return known and forward.knows_seeds(problem, batch)


def _has_weights(problem):
    """Return whether the aggregator's weights are known before the gradients, as `lasting.Weights`."""
    return hasattr(problem.aggregator, "pull")


def _at_once(problem, batch, scale):
    """Return what `_gradients` does of the one portion, its balanced losses and its pass in a list."""
    tape, found, cut = forward.record(problem, batch, 0)
    balanced = forward.balance(problem, batch, found.sums)
    local = _gradients(problem, batch, gradients.puller(tape, scale), found, cut, balanced.seeds)
    return distribution.all_reduce(local), balanced, [found]


def _by_portions(problem, batch, scale):
    """Return the gradients of all portions, one after the other, balanced at the end, likewise."""
    columns, others, passes = [], [], []
    for index in range(len(batch.portions)):
        with tf.control_dependencies([g for g in tf.nest.flatten([columns, others]) if g is not None]):
            tape, found, cut = forward.record(problem, batch, index)
        pull, ones = gradients.puller(tape, scale), tf.ones_like(batch.counts)
        latest, rest = _gradients(problem, batch, pull, found, cut, ones)
        columns = rows.add(columns, latest, len(problem.tasks)) if passes else latest
        others = list(map(gradients.add, others, rest)) if passes else rest
        passes.append(found)
    columns, others = distribution.all_reduce((columns, others))
    balanced = forward.balance(problem, batch, forward.total([found.sums for found in passes]))
    return (rows.scaled(columns, balanced.seeds), others), balanced, passes


def _gradients(problem, batch, pull, found, cut, seeds):
    """Return the columns of the tasks' gradients, and a list of what is added to them: the gradients of the
    model's own losses, if any; or no columns, and the gradients of all first.
    """
    derivatives, targets = batch.derivatives(seeds), found.targets
    if problem.aggregator is None and _is_one_pass(problem, batch):
        ones = map(tf.ones_like, targets)
        return [], [pull([*found.sums[0], *targets], problem.variables, [*derivatives[0], *ones])]
    rest = [rows.of_all(pull, targets, problem.variables, cut)] if targets else []
    if _has_weights(problem):
        return [], [problem.aggregator.pull(pull, found.sums[0], problem.variables, derivatives[0]), *rest]
    return rows.jacobian(pull, found.sums, derivatives, problem.variables, cut, problem.by_seeds), rest


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
        row, columns = problem.aggregator.pull(pull, sums[0], sources, seeds[0]), None
        row[len(afters) :] = distribution.all_reduce(row[len(afters) :])
        joined = problem.aggregator.joined(row, len(afters))
    else:
        columns = of_rows(gradients.jacobian(pull, sums, sources, seeds))
        columns[len(afters) :] = distribution.all_reduce(columns[len(afters) :])
        joined = _join(problem, batch, columns, balanced.losses, len(afters))
    return _pulled(problem, joined, pull, (befores, afters), passes), columns, balanced, passes


def _pulled(problem, joined, pull, cut, passes):
    """Return what is joined with the directions at the cut on their way back to the variables before it."""
    before, after = cut
    number = len(after)
    extra = pull([x for found in passes for x in found.targets], [*after, *problem.variables])
    directions = gradients.add(joined.gradients[:number], extra[:number])
    local = gradients.add(extra[number:], pull(before, problem.variables, directions))
    found = gradients.add(joined.gradients[number:], distribution.all_reduce(local))
    return joined._replace(gradients=found)


def _join(problem, batch, columns, losses, num_local=0):
    present, shares = batch.counts > 0, batch.shares()
    number = len(problem.tasks)
    return aggregation.join(columns, number, problem.aggregator, losses, present, shares, num_local)


def _known(problem, found):
    """Return the gradients of one pass for all tasks as `Joined`."""
    return problem.aggregator.joined(found) if _has_weights(problem) else _plain(problem, found)


def _plain(problem, found):
    """Return gradients in which no aggregator joined any tasks."""
    return Joined(found, [False] * len(problem.tasks), None)
