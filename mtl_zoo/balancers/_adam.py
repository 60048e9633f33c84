"""Steps of Adam on numbers of tasks, of which some may be absent."""

import math

from keras import ops

EPSILON = 1e-8
DECAY_1, DECAY_2 = 0.9, 0.999


def moments(layer, shape):
    """Return new state for `descend`, as weights of a layer: two moments and the number of steps."""
    names = ("first_moment", "second_moment", "num_looks")
    return tuple(layer.add_weight(name=n, shape=shape, initializer="zeros", trainable=False) for n in names)


def descend(variable, moments, gradient, present, learning_rate):
    """Do a step of Adam on the numbers of the present tasks; the others keep theirs, and their moments.

    Args:
        variable: Variable `[T]`.
        moments: Tuple of the variables of both moments and of the numbers of steps so far, `[T]` each.
        gradient: Tensor `[T]`.
        present: Tensor `[T]`, 1 for present tasks and 0 for absent ones.
        learning_rate: Length of a step.
    """
    first, second, steps = moments
    steps.assign_add(present)
    first.assign_add(present * (1 - DECAY_1) * (gradient - first))
    second.assign_add(present * (1 - DECAY_2) * (ops.square(gradient) - second))
    mean, square = first / _filled(DECAY_1, steps), second / _filled(DECAY_2, steps)
    variable.assign_sub(present * learning_rate * mean / (ops.sqrt(square) + EPSILON))


def _filled(decay, steps):
    """Return by how much a moment that started at 0 is filled: `1 - decay ** steps`."""
    return -ops.expm1(math.log(decay) * ops.maximum(steps, 1.0))
