"""Functions of the present tasks alone."""

from keras import ops

MINUS_INFINITY = -1e30  # finite, so that a reduction over no task at all is finite


def everyone(present, num_tasks):
    """Return `present` as a boolean tensor `[T]`, all true if it is `None`."""
    return ops.ones(num_tasks, "bool") if present is None else ops.cast(present, "bool")


def softmax(logits, present):
    """Return the softmax over the present tasks; 0 for absent ones.

    Args:
        logits: Tensor `[T]`.
        present: Tensor `[T]`, true or 1 for present tasks.
    """
    present = ops.cast(present, logits.dtype)
    logits = ops.where(present > 0, logits, MINUS_INFINITY)
    exponentials = present * ops.exp(logits - ops.max(logits))
    return ops.divide_no_nan(exponentials, ops.sum(exponentials))


def logsumexp(values, present):
    """Return the logarithm of the sum of exponentials over the present tasks; 0 if there is none.

    Args:
        values: Tensor `[T]`.
        present: Tensor `[T]`, 1 for present tasks and 0 for absent ones.
    """
    result = ops.logsumexp(ops.where(present > 0, values, MINUS_INFINITY))
    return ops.where(ops.any(present > 0), result, 0.0)
