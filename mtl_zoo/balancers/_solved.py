"""Tasks that are solved on a batch, for methods that divide by losses or take their logarithms."""

from keras import ops

SMALLEST_LOSS = 1e-12


def unsolved(losses, present):
    """Return the losses and the presence of the tasks that still have something to learn.

    Args:
        losses: Tensor `[T]`.
        present: Tensor `[T]`, 1 for the tasks that count and 0 for absent ones.

    Returns:
        Tuple of the losses, 1 where they do not count, and of `present` without the tasks whose loss is below
        1e-12. So a loss of 0, or a negative one, is as if its task were absent.
    """
    present = present * ops.cast(losses > SMALLEST_LOSS, losses.dtype)
    return ops.where(present > 0, losses, 1.0), present
