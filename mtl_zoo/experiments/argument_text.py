"""The text `key=value,key=value`, in which arguments are chosen."""

import ast
import re


def parse(text):
    """Read `key=value,key=value`.

    Values are Python literals, or strings where they are none; a comma separates where `key=` follows, and is
    part of a literal within one.

    Args:
        text: What the user wrote.

    Returns:
        Dictionary.

    Raises:
        ValueError: If it is not of this form, or a key is there twice.

    Example:

    >>> parse("units=[6, 5],activation=relu,path='a,b=c'")
    {'units': [6, 5], 'activation': 'relu', 'path': 'a,b=c'}
    """
    parsed = _parsed(text)
    if parsed is not None:
        return parsed
    arguments = {}
    for part in re.split(r",(?=\s*\w+\s*=)", text) if text else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key.isidentifier() or key in arguments:
            raise ValueError(f"Arguments must be key=value,... with every key once. Received: {text!r}")
        arguments[key] = _value(value)
    return arguments


def split(text):
    """Split a list of choices at its commas, but not within one: `key=` goes on with the choice before it.

    Commas within brackets and quotes are part of a value.

    Example:

    >>> split("equal,mmoe:num_experts=8,activation=relu,static:weights=[1, 2]")
    ['equal', 'mmoe:num_experts=8,activation=relu', 'static:weights=[1, 2]']
    """
    found = []
    for piece in text.split(","):
        if found and (_is_open(found[-1]) or re.match(r"\s*\w+\s*=", piece)):
            found[-1] += f",{piece}"
        else:
            found.append(piece)
    return [choice.strip() for choice in found]


def write(arguments):
    """Return the text of which `parse` makes a dictionary of literals.

    Example:

    >>> write({"n": 3, "path": "a,b=c"})
    "n=3,path='a,b=c'"
    """
    return ",".join(f"{key}={value!r}" for key, value in arguments.items())


def _parsed(text):
    """Return the arguments if Python's own parser takes them for keyword arguments, else `None`."""
    source = f"f({text})"
    try:
        call = ast.parse(source, mode="eval").body
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        return None
    found = {x.arg: _value(ast.get_source_segment(source, x.value)) for x in call.keywords}
    return found if len(found) == len(call.keywords) and None not in found else None


def _is_open(text):
    """Return whether a bracket or a quote is not closed."""
    brackets = any(text.count(left) != text.count(right) for left, right in ("[]", "()", "{}"))
    return brackets or any(text.count(quote) % 2 for quote in "'\"")


def _value(text):
    try:
        return ast.literal_eval(text)
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return text
