"""The fields of a recipe: their defaults, and what flags and files must know of them."""

import dataclasses
import functools
import os

from mtl_zoo import arguments


def field(default, text, check, **about):
    """Return a field with what flags and files must know of it.

    Args:
        default: Value.
        text: Help text.
        check: Function of a name and a value that returns the value, or raises a `ValueError`.
        about: `key`, its name in files and flags, if that is another; `added`, if it came later, so that
            files may lack it; for flags `family`, its kind, `among`, `least` and `most`.
    """
    return dataclasses.field(default=default, metadata={"text": text, "check": check, **about})


def choice(kind, default, text="", **about):
    text = text or f"The {kind}: name or name:key=value,...; `mtl-zoo list` shows all."
    return field(default, text, lambda name, value: _settled(kind, value), family=kind, **about)


def count(default, text, most, least=1, **about):
    check = functools.partial(arguments.integer, least=least, most=most)
    return field(default, text, check, least=least, most=most, **about)


def option(options, text, **about):
    check = functools.partial(arguments.option, options=tuple(options))
    return field(next(iter(options)), text, check, among=tuple(options), **about)


def place(name, value):
    """Return a path as a string; `None` for an empty one, as a shell gives it."""
    return None if value == "" else os.fspath(arguments.path(name, value))


def _settled(kind, text):
    """Return the text of a choice, with all that reading files of a user's own tells."""
    from mtl_zoo.experiments.own_data import settled

    return settled(parsed(kind, text))


def parsed(kind, text):
    """Return the `Choice` that a text tells; what there is to choose from is imported with TensorFlow."""
    from mtl_zoo.experiments import choices

    return choices.FAMILIES[kind].parse(text)
