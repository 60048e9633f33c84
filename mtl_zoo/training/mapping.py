"""A backward pass that is traced once and mapped over tasks, or over their parts."""

import itertools

import tensorflow as tf

# Passes of so many tasks, or that find so many gradients (tasks times variables that they share), are as
# quick to trace one by one, and a loop has its price in a step: 5 % on a convnet of six variables with ten
# tasks.
MOST_UNROLLED, MOST_GRADIENTS = 4, 80
PARALLEL = 4  # passes at a time


def pays(num_tasks, num_variables):
    """Return whether a pass is to be mapped over so many tasks, which share so many variables."""
    return num_tasks > MOST_UNROLLED and num_tasks * num_variables > MOST_GRADIENTS


def trace(function, given):
    """Trace a function of a row of every tensor in `given` that returns gradients; tell what is `None`."""
    specs = [tf.TensorSpec(x.shape[1:], x.dtype) for x in given]
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def columns(traced, given, variables, num_tasks, num_parts):
    """Map a function over rows and return its gradients as columns.

    Args:
        traced: As `trace` returns it.
        given: List of tensors with a row for every part of every task.
        variables: List of the variables that the function returns gradients of.
        num_tasks: T.
        num_parts: Number of parts of a task.

    Returns:
        List of one column per variable.
    """
    pairs = zip(_map(traced, given), variables, strict=True)
    return [_column(found, variable, num_tasks, num_parts) for found, variable in pairs]


def _map(traced, given):
    """Map a traced function over tensors; return a list of its tensors for each gradient."""
    numbers = [len(tensors(x)) for x in traced.structured_outputs]
    if not any(numbers):
        return [[] for _ in numbers]
    signature = [tf.TensorSpec(x.shape, x.dtype) for g in traced.structured_outputs for x in tensors(g)]

    def flat(row):
        return [x for g in traced(*row) for x in tensors(g)]

    found = iter(tf.map_fn(flat, given, parallel_iterations=PARALLEL, fn_output_signature=signature))
    return [list(itertools.islice(found, number)) for number in numbers]


def tensors(gradient):
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
