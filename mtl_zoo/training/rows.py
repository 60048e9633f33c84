"""The gradients of every task, by one backward pass of the trunk that the graph has once for all of them.

Where a model can be cut, T passes through the heads give the gradients of the tensors at the cut. The pass
from there to the variables is traced as a function of such gradients and mapped over the tasks, so that the
size of its graph does not depend on T.
"""

import tensorflow as tf

from mtl_zoo.training import gradients, mapping, sparse
from mtl_zoo.training.columns import are_stacked, of_rows, reach, unstacked


def jacobian(pull, parts, derivatives, variables, cut=((), ()), by_seeds=False):
    """Return the gradients of every task.

    Args:
        pull: As `gradients.puller` returns it.
        parts: List of one list of T losses per part of the batch.
        derivatives: List of one list of T scalars per part: the derivatives by the losses.
        variables: List of variables.
        cut: Lists of the tensors where the trunk ends, and of the same where the heads start, as
            `forward.record` returns them. Defaults to none: every task has a pass of its own.
        by_seeds: Whether, without a cut, one pass may be mapped over the tasks, as in `one_hot`. Defaults to
            no.

    Returns:
        List of one column per variable, as in `columns`. With more than one part, a gradient has a leading
        axis for them.
    """
    before, after = cut
    if not after:
        return gradients.columns(pull, parts, variables, derivatives, by_seeds)
    rows = gradients.jacobian(pull, parts, [*after, *variables], derivatives)
    at_cut, behind = [row[: len(after)] for row in rows], [row[len(after) :] for row in rows]
    trunk = _of_trunk(pull, before, at_cut, variables, len(parts))
    return add(trunk, of_rows(behind), len(rows))


def of_all(pull, targets, variables, cut=((), ())):
    """Return the gradients of the sum of some scalars, as `jacobian` does those of tasks."""
    before, after = cut
    found = pull(targets, [*after, *variables])
    return gradients.add(found[len(after) :], pull(before, variables, found[: len(after)]))


def add(found, others, num_tasks):
    """Add two lists of columns."""
    return [_sum(*pair, num_tasks) for pair in zip(found, others, strict=True)]


def scaled(found, factors):
    """Multiply the gradients of every task by its number.

    Args:
        found: List of columns.
        factors: Tensor `[T]`.
    """
    return [_scaled(column, factors) for column in found]


def _scaled(column, factors):
    if are_stacked(column):
        shape = tf.concat([[-1], tf.ones(len(column.shape) - 1, tf.int32)], 0)
        return column * tf.reshape(tf.cast(factors, column.dtype), shape)
    pairs = zip(column, tf.unstack(factors, len(column)), strict=True)
    return tuple(gradients.scaled([gradient], factor)[0] for gradient, factor in pairs)


def _sum(column, other, num_tasks):
    reached, others = (any(reach(x, num_tasks)) for x in (column, other))
    if not (reached and others):
        return column if reached else other
    if are_stacked(column) and are_stacked(other):
        return column + other
    return tuple(gradients.add(*(unstacked(x, num_tasks) for x in (column, other))))


def _of_trunk(pull, tensors, rows, variables, num_parts):
    """Return the columns of variables out of the gradients of the tensors where the trunk ends.

    Tasks that reach the same of these tensors go the same way. The others keep ways of their own, so that no
    pass is longer than it must be, and what a task does not reach stays `None`.
    """
    ways = {}
    for index, row in enumerate(rows):
        ways.setdefault(tuple(g is not None for g in row), []).append(index)
    found = {}
    for reached, tasks in ways.items():
        ends = [tensor for tensor, is_reached in zip(tensors, reached, strict=True) if is_reached]
        given = [[g for g in rows[task] if g is not None] for task in tasks]
        way = _mapped if len(tasks) > mapping.MOST_UNROLLED and not tf.executing_eagerly() else _unrolled
        found[tuple(tasks)] = way(pull, ends, given, variables, num_parts)
    if len(found) == 1:
        return next(iter(found.values()))
    ways = zip(*found.values(), strict=True)
    return [_joined(dict(zip(found, way, strict=True)), len(rows)) for way in ways]


def _joined(parts, num_tasks):
    """Return the column of all tasks out of those of some, by their numbers."""
    found = [None] * num_tasks
    for tasks, column in parts.items():
        for task, gradient in zip(tasks, unstacked(column, len(tasks)), strict=True):
            found[task] = gradient
    return tuple(found)


def _unrolled(pull, ends, rows, variables, num_parts):
    """Return the columns of tasks that each have a pass of their own, or one for every part."""
    if not ends:
        return [(None,) * len(rows) for _ in variables]
    if num_parts == 1:
        return of_rows([pull(ends, variables, row) for row in rows])
    parts = [list(zip(*(tf.unstack(g, num_parts) for g in row), strict=True)) for row in rows]
    return of_rows(
        [list(map(_stack, zip(*(pull(ends, variables, part) for part in row), strict=True))) for row in parts]
    )


def _stack(found):
    return None if found[0] is None else sparse.stack(found)


def _mapped(pull, ends, rows, variables, num_parts):
    """Return the columns of tasks over which one traced pass is mapped, or over their parts."""
    given = [tf.stack(list(map(tf.convert_to_tensor, column))) for column in zip(*rows, strict=True)]
    if num_parts > 1:
        given = [tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0)) for x in given]
    traced = mapping.trace(lambda *row: pull(ends, variables, row), given)
    return mapping.columns(traced, given, variables, len(rows), num_parts)
