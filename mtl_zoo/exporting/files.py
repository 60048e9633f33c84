"""Artefacts appear when they are complete."""

import contextlib
import os
import pathlib
import tempfile

import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.files import first_line, reserved


def check_absent(path):
    """Raise a `FileExistsError` if there is anything at `path`."""
    if os.path.lexists(arguments.path("path", path)):
        raise FileExistsError(f"`path` must not exist: no export is overwritten. Received: path='{path}'")


@contextlib.contextmanager
def staged(path):
    """Yield a place for a file or directory that is moved to `path` in one step when the block ends.

    Until then it lies in a sibling directory, `.exporting-...`, that no server takes for a version. If the
    block raises an error, it is removed, and so are the parents that were made for it.

    Args:
        path: What to write; it must not exist. Parents are made.

    Yields:
        `pathlib.Path` of a file or directory that does not exist yet, with the name of `path`.

    Raises:
        FileExistsError: If `path` exists, before the block or after it.
    """
    path = pathlib.Path(path)
    check_absent(path)
    with (
        reserved(path.parent),
        tempfile.TemporaryDirectory(dir=path.parent, prefix=".exporting-") as staging,
    ):
        complete = pathlib.Path(staging, path.name)
        yield complete
        check_absent(path)
        os.rename(complete, path)


@contextlib.contextmanager
def writing(path):
    """Turn what Python or TensorFlow raises where a file cannot be written into one line that names `path`.

    Args:
        path: What is written within the block.

    Raises:
        OSError: If the disk is full, a name too long, or the like.
    """
    try:
        yield
    except FileExistsError:
        raise
    except (OSError, tf.errors.OpError) as error:
        raise OSError(
            f"'{path}' must be a place that can be written, with room on its disk; nothing is left there "
            f"({getattr(error, 'strerror', None) or first_line(error)})."
        ) from error
