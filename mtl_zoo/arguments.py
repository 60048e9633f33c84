"""Checks of arguments where they enter: a function per kind of value, which returns it; the largest counts.

An error says what must hold, then what came. Booleans are not numbers, strings are not sequences, a float is
not an integer even if it is whole; NumPy's numbers are numbers. What is infinite in float32 is not finite.
"""

import numbers as kinds
import os
from collections.abc import Mapping, Sequence

# The largest counts that can be meant: far beyond what is trained, and refused before they fill the memory.
COPIES = 1_000  # of layers that are made one after the other: experts, branches, blocks, portions of a step
UNITS = 100_000  # of one layer: units, filters, channels
ENTRIES = 10_000_000  # rows of one weight: classes, tokens, positions
SIDE = 10_000  # pixels, bands or taps along one side
STEPS = 10_000  # of a loop inside one update, which nothing interrupts
EXAMPLES = 10_000_000  # in a batch
BATCHES = 1_000_000  # in an epoch
EPOCHS = 1_000_000
SEED = 2**32 - 1
LARGEST = (2 - 2.0**-23) * 2.0**127  # of float32


def number(name, value, least=None, most=None, above=None, below=None):
    """Return a finite number within bounds as a float.

    Args:
        name: Name of the argument.
        value: What came.
        least: Smallest number that is right. Defaults to `None`: there is none.
        most: Largest number that is right, likewise.
        above: Number below all that are right, likewise.
        below: Number above all that are right, likewise.

    Raises:
        ValueError: If it is not a number, not finite, or out of bounds.

    Example:

    >>> number("decay", np.float32(0.5), least=0, below=1)
    0.5
    >>> number("decay", 1, least=0, below=1)
    Traceback (most recent call last):
    ValueError: `decay` must be at least 0 and below 1. Received: decay=1
    """
    if not _is_finite(value):
        raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}")
    if not _is_within(value, least, most, above, below):
        raise ValueError(f"`{name}` must {_bounds(least, most, above, below)}. Received: {name}={value!r}")
    return float(value)


def integer(name, value, least=None, most=2**31 - 1):
    """Return an integer within bounds.

    Args:
        name: Name of the argument.
        value: What came.
        least: Smallest integer that is right. Defaults to `None`: there is none.
        most: Largest integer that is right. Defaults to that of 32 bits.

    Raises:
        ValueError: If it is not an integer or out of bounds.

    Example:

    >>> integer("steps", 1e3, least=1)
    Traceback (most recent call last):
    ValueError: `steps` must be an integer of at least 1. Received: steps=1000.0
    """
    if not _is_integer(value) or (least is not None and value < least):
        wanted = "an integer" if least is None else f"an integer of at least {least}"
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    if value > most:
        raise ValueError(f"`{name}` must be at most {most:,}. Received: {name}={value!r}")
    return int(value)


def integers(name, values, least=None, most=2**31 - 1):
    """Return integers, each checked by `integer`, as a tuple."""
    if not _is_sequence(values):
        raise ValueError(f"`{name}` must be a sequence of integers. Received: {name}={values!r}")
    return tuple(integer(name, value, least, most) for value in values)


def numbers(name, values, least=None, above=None):
    """Return at least one finite number, within bounds as for `number`, as a list of floats."""
    right = _is_sequence(values) and len(values) > 0 and all(map(_is_finite, values))
    if not right or not all(_is_within(value, least, None, above, None) for value in values):
        bound = "" if least is None else f" of at least {least}"
        bound = bound if above is None else f" above {above}"
        raise ValueError(f"`{name}` must hold finite numbers{bound}. Received: {name}={values!r}")
    return [float(value) for value in values]


def preferences(values):
    """Return non-negative numbers, one of them positive, as a list of floats; `None` stays `None`."""
    if values is None:
        return None
    found = numbers("preferences", values, least=0)
    if not any(found):
        raise ValueError(f"`preferences` must have a positive entry. Received: preferences={values}")
    return found


def per_task(name, values, num_tasks, default=None):
    """Return one number per task: `values`, or `default` for each if they are `None`.

    Raises:
        ValueError: If their number is not that of the tasks.
    """
    if values is None:
        return [default] * num_tasks
    if len(values) != num_tasks:
        raise ValueError(f"`{name}` must have one number per task, {num_tasks}. Received: {list(values)}")
    return values


def seed(name, value):
    """Return a seed, an integer of at least 0 below 2**32, or `None`."""
    return None if value is None else integer(name, value, 0, SEED)


def flag(name, value):
    """Return a boolean."""
    import numpy as np  # by what flags do not need, as Keras below: they answer at once

    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"`{name}` must be `True` or `False`. Received: {name}={value!r}")
    return bool(value)


def option(name, value, options, optional=False):
    """Return one of several strings; or `None`, if `optional`."""
    if not (isinstance(value, str) and value in options) and not (optional and value is None):
        known = f"{options} or None" if optional else options
        raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    return value


def text(name, value):
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"`{name}` must be a string that is not empty. Received: {name}={value!r}")
    return value


def texts(name, values):
    """Return a sequence of strings as a tuple."""
    if not _is_sequence(values) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"`{name}` must be a sequence of strings. Received: {name}={values!r}")
    return tuple(values)


def path(name, value):
    """Return a path, a string or an `os.PathLike` that is not empty."""
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ValueError(f"`{name}` must be a path. Received: {name}={value!r}")
    return value


def mapping(name, value):
    """Return a dictionary; an empty one for `None`."""
    if value is not None and not isinstance(value, Mapping):
        raise ValueError(f"`{name}` must be a dictionary. Received: {name}={value!r}")
    return {} if value is None else value


def size(name, value):
    """Return a pair of a height and a width in pixels as a tuple."""
    is_pair = _is_sequence(value) and len(value) == 2
    if not is_pair or not all(_is_integer(side) and side > 0 for side in value):
        raise ValueError(f"`{name}` must be a pair of a height and a width. Received: {name}={value!r}")
    return integers(name, value, 1, SIDE)


def function(name, value):
    """Return a function, or what else can be called."""
    if not callable(value):
        raise ValueError(f"`{name}` must be a function. Received: {name}={value!r}")
    return value


def activation(name, value):
    """Return the name of an activation of Keras, a function, or `None`."""
    if value is None or callable(value):
        return value
    try:
        if isinstance(value, str):
            import keras

            keras.activations.get(value)
            return value
    except ValueError:
        pass
    raise ValueError(
        f"`{name}` must be the name of an activation of Keras, a function or None. Received: {name}={value!r}"
    )


def instance(name, value, expected):
    """Return an instance of a class.

    Raises:
        TypeError: If it is another object.
    """
    if not isinstance(value, expected):
        raise TypeError(f"`{name}` must be an instance of `{expected.__name__}`. Received: {name}={value!r}")
    return value


def _is_integer(value):
    return isinstance(value, kinds.Integral) and not isinstance(value, bool)


def _is_finite(value):
    is_number = isinstance(value, kinds.Real) and not isinstance(value, bool)
    return is_number and -LARGEST <= value <= LARGEST


def _is_sequence(value):
    import numpy as np

    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _is_within(value, least, most, above, below):
    return (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _bounds(least, most, above, below):
    """Return in words what `_is_within` asks for."""
    if (least, most, above, below) == (0, None, None, None):
        return "not be negative"
    if (least, most, above, below) == (None, None, 0, None):
        return "be positive and finite"
    if least is not None and most is not None:
        return f"be between {least} and {most}"
    bounds = {"at least": least, "above": above, "at most": most, "below": below}
    return "be " + " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)
