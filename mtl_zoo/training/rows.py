"""The gradients of every task, by one backward pass of the trunk that the graph has once for all of them.

Where a model can be cut, T passes through the heads give the gradients of the tensors at the cut. The pass
from there to the variables is traced as a function of such gradients and mapped over the tasks, so that the
size of its graph does not depend on T.
"""

import itertools

import tensorflow as tf

from mtl_zoo.training import gradients, sparse
from mtl_zoo.training.columns import are_stacked, of_rows, reach, unstacked

# Passes of so many tasks, or that find so many gradients (tasks times variables of a trunk), are as quick to
# trace one by one, and a loop has its price in a step: 5 % on a convnet of six variables with ten tasks.
MOST_UNROLLED, MOST_GRADIENTS = 4, 80
PARALLEL = 4  # passes at a time


def pays(trunk, num_tasks):
    """Return whether a pass through a trunk, a model, is to be mapped over the tasks."""
    return num_tasks > MOST_UNROLLED and num_tasks * len(trunk.trainable_variables) > MOST_GRADIENTS


def jacobian(pull, parts, derivatives, variables, cut=((), ())):
    """Return the gradients of every task.

    Args:
        pull: As `gradients.puller` returns it.
        parts: List of one list of T losses per part of the batch.
        derivatives: List of one list of T scalars per part: the derivatives by the losses.
        variables: List of variables.
        cut: Lists of the tensors where the trunk ends, and of the same where the heads start, as
            `forward.record` returns them. Defaults to none: every task has a pass of its own.

    Returns:
        List of one column per variable, as in `columns`. With more than one part, a gradient has a leading
        axis for them.
    """
    before, after = cut
    rows = gradients.jacobian(pull, parts, [*after, *variables], derivatives)
    if not after:
        return of_rows(rows)
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
        way = _mapped if len(tasks) > MOST_UNROLLED and not tf.executing_eagerly() else _unrolled
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
    found = _map(lambda *row: pull(ends, variables, row), given)
    return [_column(x, v, len(rows), num_parts) for x, v in zip(found, variables, strict=True)]


def _map(function, given):
    """Map a function that returns gradients over tensors; return a list of its tensors for each gradient."""
    specs = [tf.TensorSpec(x.shape[1:], x.dtype) for x in given]
    traced = tf.function(function, autograph=False).get_concrete_function(*specs)  # tells what is `None`
    numbers = [len(_tensors(x)) for x in traced.structured_outputs]
    if not any(numbers):
        return [[] for _ in numbers]
    signature = [tf.TensorSpec(x.shape, x.dtype) for g in traced.structured_outputs for x in _tensors(g)]

    def flat(row):
        return [x for g in traced(*row) for x in _tensors(g)]

    found = iter(tf.map_fn(flat, given, parallel_iterations=PARALLEL, fn_output_signature=signature))
    return [list(itertools.islice(found, number)) for number in numbers]


def _tensors(gradient):
    """Return what a gradient is made of: nothing, slices and where they belong, or one tensor."""
    if isinstance(gradient, tf.IndexedSlices):
        return [gradient.values, gradient.indices]
    return [] if gradient is None else [gradient]


def _column(found, variable, num_tasks, num_parts):
    """Return a column out of what was mapped; slices are of the same rows for every task."""
    if not found:
        return (None,) * num_tasks
    if len(found) == 2:
        return tuple(_slices(*found, variable, num_tasks, num_parts))
    if num_parts == 1:
        return found[0]
    return tf.reshape(found[0], tf.concat([[num_tasks, num_parts], tf.shape(found[0])[1:]], 0))


def _slices(values, indices, variable, num_tasks, num_parts):
    """Return the sparse gradients of tasks out of what was mapped; parts have an axis behind the rows."""
    shape = [*variable.shape]
    if num_parts > 1:
        values = tf.reshape(values, tf.concat([[num_tasks, num_parts], tf.shape(values)[1:]], 0))
        values = tf.transpose(values, [0, 2, 1, *range(3, values.shape.rank)])
        shape.insert(1, num_parts)
    return [tf.IndexedSlices(x, indices[0], tf.constant(shape)) for x in tf.unstack(values, num_tasks)]
