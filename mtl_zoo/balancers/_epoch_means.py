"""Mean losses of an epoch, over the batches in which each task is present."""

from keras import ops


def start(layer, shape):
    """Return new state for `add` and `take`, weights of a layer: sums of losses, and numbers of batches."""
    names = ("total", "batches")
    return tuple(layer.add_weight(name=n, shape=shape, initializer="zeros", trainable=False) for n in names)


def add(means, losses, present):
    """Add the losses of a batch.

    Args:
        means: What `start` returned.
        losses: Tensor `[T]`, finite where a task is absent too.
        present: Tensor `[T]`, 1 for present tasks and 0 for absent ones.
    """
    total, batches = means
    total.assign_add(present * ops.stop_gradient(losses))
    batches.assign_add(present)


def take(means):
    """Return the means, 0 for tasks that were in no batch, and which were in some; and begin anew."""
    total, batches = means
    found = ops.divide_no_nan(total, batches), batches > 0
    for state in means:
        state.assign(ops.zeros_like(state))
    return found
