"""How the gradients of several tasks become one."""

from typing import NamedTuple

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, sparse
from mtl_zoo.training.columns import are_stacked, reach


class Joined(NamedTuple):
    """What became of the gradients of several tasks.

    Args:
        gradients: List of one gradient (or `None`) per source.
        tasks: Which tasks' gradients the aggregator joined with others, a list of T booleans.
        squares: Tensor `[T]`: sums of squares of the gradients that it joined, on all replicas, where its
            inner products tell them; else `None`.
        sources: Which sources got its direction, a list of booleans. Defaults to none.
    """

    gradients: list
    tasks: list
    squares: tf.Tensor | None
    sources: list = ()


def join(columns, num_tasks, aggregator, losses, present=None, shares=None, num_local=0):
    """Join the gradients of several tasks.

    What more than one task reaches, and what is local, gets the aggregator's direction, what one task reaches
    its gradient; times the weight of its loss, if the aggregator weighs losses and the task has a gradient in
    what is shared.

    Args:
        columns: List of one column per source, as in `columns`.
        num_tasks: T.
        aggregator: `Aggregator`; it sees the variables that more than one task reaches.
        losses: List of T scalar tensors, or tensor `[T]`.
        present: As in `gradients.multitask`.
        shares: Tensor `[parts, T]`, for an aggregator with sub-batches: what share of a task's labelled items
            each part has. A part with none takes the gradient of all. Defaults to `None`: equal shares.
        num_local: Number of leading sources of which this replica has some elements only: inner products of
            their gradients are summed over all replicas. Defaults to 0.

    Returns:
        `Joined`.
    """
    shares = _shares_of_parts(aggregator.sub_batches, num_tasks, shares)
    reached = [reach(column, num_tasks) for column in columns]
    found, squares, dense = {}, [], aggregator.state_per_parameter
    for group in _groups(reached, aggregator.per_reach, num_local):
        shared = [_of_one_shape(columns[index], shares, dense) for index in group]
        blocks = [_block(column, shares) for column in shared]
        known = _known_products(aggregator, blocks, sum(index < num_local for index in group))
        here = _both(present, _reached(reached, num_tasks, group))
        directions = aggregator(blocks, tf.stack(losses), here, **known)
        for index, direction, column in zip(group, directions, shared, strict=True):
            found[index] = _in_shape(direction, column, shares)
        squares += map(_squares, known.values())
    tasks = _reached(reached, num_tasks, found)
    gradients = _all_gradients(columns, found, shares, _loss_weights(aggregator, tasks))
    sources = [index in found for index in range(len(columns))]
    return Joined(gradients, tasks, tf.add_n(squares) if squares else None, sources)


def _groups(reached, per_reach, num_local):
    """Divide the shared sources in those that the aggregator gets together: by reach, the widest last.

    What is local was made of shared variables, so that each of it that one task reaches counts with the rest.
    """
    together = tuple(map(any, zip(*reached[:num_local], strict=True)))
    local = [together if sum(tasks) == 1 else tasks for tasks in reached[:num_local]]
    reached = [*local, *reached[num_local:]]
    shared = [index for index, tasks in enumerate(reached) if sum(tasks) > 1]
    if not per_reach:
        return [shared] if shared else []
    kinds = sorted({reached[index] for index in shared}, key=lambda tasks: (sum(tasks), tasks))
    return [[index for index in shared if reached[index] == tasks] for tasks in kinds]


def _reached(reached, num_tasks, sources):
    """Return which tasks reach one of several sources."""
    return [any(reached[index][task] for index in sources) for task in range(num_tasks)]


def _both(present, concerned):
    """Return which tasks are present and concerned; `None` for all."""
    return present if all(concerned) else tf.logical_and(True if present is None else present, concerned)


def _known_products(aggregator, blocks, number):
    """Return the inner products over all replicas, of whose larger blocks the first `number` are parts."""
    if aggregator.products is None:
        return {}
    blocks = [tf.cast(block, aggregator.compute_dtype) for block in blocks]
    if not number:
        with keras.name_scope(aggregator.name):  # TensorFlow groups sums by it: they round as within the call
            return {"gramian": aggregator.products(blocks)}
    products = [distribution.all_reduce(aggregator.products(blocks[:number]))]
    products += [aggregator.products(blocks[number:])] if number < len(blocks) else []
    return {"gramian": tf.add_n(products)}


def _squares(products):
    """Return the sums of squares of the tasks' gradients, of all their parts if there are several."""
    diagonal = tf.linalg.diag_part(products)
    return diagonal if diagonal.shape.rank == 1 else tf.reduce_sum(diagonal, axis=-1)


def _loss_weights(aggregator, tasks):
    """Return the weight of each task's loss, `None` where nothing is to be multiplied."""
    if not (aggregator.weighs_losses and any(tasks)):
        return [None] * len(tasks)
    weights = tf.unstack(aggregator.loss_weights)
    return [w if concerned else None for w, concerned in zip(weights, tasks, strict=True)]


def _all_gradients(columns, found, shares, weights):
    """Return the gradients of all sources: directions, and those of one task."""
    return [
        found[index] if index in found else _own(column, shares, weights)
        for index, column in enumerate(columns)
    ]


def _shares_of_parts(number, num_tasks, shares):
    """Return one tensor `[parts]` per task, equal ones by default; `None` without parts."""
    if number == 1:
        return None
    equal = tf.fill([number, num_tasks], 1.0 / number)
    return tf.unstack(equal if shares is None else shares, num_tasks, axis=1)


def _of_one_shape(column, shares, dense):
    """Return a column that is in one tensor, or the `sparse.Column` of one that is not."""
    return column if are_stacked(column) else sparse.column(column, shares is not None, dense)


def _block(column, shares):
    """Stack the gradients of one source to `[tasks, size]`, zeros where a task does not reach it.

    With sub-batches, to `[sub_batches, tasks, size]`.
    """
    if are_stacked(column):
        return _flat(column, shares)
    found = next(tensor for tensor in column.tensors if tensor is not None)
    rows = [tf.zeros_like(found) if tensor is None else tensor for tensor in column.tensors]
    if shares is None:
        return tf.stack([tf.reshape(row, [-1]) for row in rows])
    rows = [tf.reshape(row, [row.shape[0], -1]) for row in rows]
    return tf.stack([_without_gaps(row, share) for row, share in zip(rows, shares, strict=True)], axis=1)


def _flat(column, shares):
    """Return what `_block` does, of gradients that are in one tensor."""
    if shares is None:
        return tf.reshape(column, [column.shape[0], -1])
    parts = tf.reshape(column, [*column.shape[:2], -1])
    share = tf.cast(tf.stack(shares), column.dtype)
    whole = tf.matmul(share[:, tf.newaxis], parts)
    return tf.transpose(tf.where(share[..., tf.newaxis] > 0, parts, whole), [1, 0, 2])


def _in_shape(direction, column, shares):
    """Return a direction as a gradient of the source, sparse if those of all tasks are."""
    if are_stacked(column):
        return tf.reshape(direction, tf.shape(column)[1 if shares is None else 2 :])
    shape = tf.shape(next(tensor for tensor in column.tensors if tensor is not None))
    return column.gradient(tf.reshape(direction, shape if shares is None else shape[1:]))


def _without_gaps(parts, share):
    """Return the gradients of all parts, `[parts, size]`, that of all items where a part has none."""
    return tf.where(share[:, tf.newaxis] > 0, parts, sparse.combine_parts(parts, share))


def _own(column, shares, weights):
    """Return the gradient of a source that at most one task reaches."""
    shares = [None] * len(column) if shares is None else shares
    for gradient, share, weight in zip(column, shares, weights, strict=True):
        if gradient is not None:
            whole = gradient if share is None else sparse.combine_parts(gradient, share)
            return whole if weight is None else sparse.times(whole, weight)
    return None
