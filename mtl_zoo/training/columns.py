"""Gradients of several tasks by one source: a column of the Jacobian.

A column is a tuple of one gradient per task, `None` where the task does not reach the source; or one tensor
`[T, ...]`, where all tasks reach it and its gradients were made together.
"""

import tensorflow as tf


def are_stacked(column):
    """Return whether the gradients of a column are in one tensor."""
    return not isinstance(column, tuple)


def reach(column, num_tasks):
    """Return which tasks reach the source of a column, a tuple of booleans."""
    return (True,) * num_tasks if are_stacked(column) else tuple(g is not None for g in column)


def unstacked(column, num_tasks):
    """Return a column as a tuple of gradients."""
    return tuple(tf.unstack(column, num_tasks)) if are_stacked(column) else column


def of_rows(rows):
    """Return the columns of one list of gradients per task."""
    return list(zip(*rows, strict=True))
