"""Versions that a model depends on."""

import contextlib
import importlib.metadata
import platform


def versions():
    """Return the versions of Python and of the packages that a model depends on, by name."""
    found = {"python": platform.python_version()}
    for name in ("mtl-zoo", "keras", "tensorflow"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a source tree on the path
            found[name] = importlib.metadata.version(name)
    return found
