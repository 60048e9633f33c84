"""The gradients of every task by one traced pass, where a model cannot be cut: mapped over one-hot seeds.

A seed is the derivative of what is differentiated by a task's loss. A pass whose seed is zero but for one
task gives that task's gradients; it goes through the heads of the others in vain. A gradient of theirs that
is not finite is not made zero by that: it spoils those of all tasks.
"""

import math

import tensorflow as tf

from mtl_zoo.training import mapping
from mtl_zoo.training.columns import unstacked

MOST_IN_VAIN = 2  # times as many numbers as are wanted are not worth a smaller graph


def jacobian(pull, parts, derivatives, variables):
    """Return the gradients of every task, as `rows.jacobian`; `None` where passes of their own are better.

    Which task reaches which variable is read from the graph of the pass: those whose seed a gradient was
    made of.
    """
    if tf.executing_eagerly() or not mapping.pays(len(parts[0]), len(variables)):
        return None
    losses, seeds = (_in_order_of_tasks(x) for x in (parts, derivatives))
    given, marks = [tf.linalg.diag(tf.stack(seeds))], []

    def of_row(row):
        marks[:] = tf.unstack(row)
        return pull(losses, variables, marks)

    traced = mapping.trace(of_row, given)
    reached = _reached(traced.graph, marks, len(parts))
    if not _pays(reached, variables):
        return None
    columns = mapping.columns(traced, given, variables, len(parts[0]), len(parts))
    return [_only(*pair) for pair in zip(columns, reached, strict=True)]


def _in_order_of_tasks(parts):
    return [x for task in zip(*parts, strict=True) for x in task]


def _reached(graph, marks, num_parts):
    """Return which tasks reach the source of each gradient that a graph returns, a tuple of booleans."""
    ancestors = {mark.ref(): {index // num_parts} for index, mark in enumerate(marks)}
    for operation in graph.get_operations():
        found = set().union(*(ancestors.get(x.ref(), ()) for x in operation.inputs))
        for output in operation.outputs:
            ancestors.setdefault(output.ref(), found)
    numbers = range(len(marks) // num_parts)
    sources = [[ancestors[x.ref()] for x in mapping.tensors(g)] for g in graph.structured_outputs]
    return [tuple(task in set().union(*found) for task in numbers) for found in sources]


def _pays(reached, variables):
    """Return whether the tasks share enough for one pass, and not too much of it is in vain."""
    sizes = [math.prod(variable.shape) for variable in variables]
    pairs = list(zip(reached, sizes, strict=True))
    wanted = sum(sum(tasks) * size for tasks, size in pairs)
    made = sum(len(tasks) * size for tasks, size in pairs if any(tasks))
    shared = sum(sum(tasks) > 1 for tasks in reached)
    return mapping.pays(len(reached[0]), shared) and made <= MOST_IN_VAIN * wanted


def _only(column, reached):
    """Return a column with `None` for tasks that do not reach its source."""
    if all(reached):
        return column
    pairs = zip(unstacked(column, len(reached)), reached, strict=True)
    return tuple(gradient if is_reached else None for gradient, is_reached in pairs)
