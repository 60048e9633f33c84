"""Artefacts appear when they are complete."""

import contextlib
import os
import pathlib
import tempfile

from mtl_zoo import arguments


def check_absent(path):
    """Raise a `FileExistsError` if there is anything at `path`."""
    if os.path.lexists(arguments.path("path", path)):
        raise FileExistsError(f"`path` must not exist: no export is overwritten. Received: path='{path}'")


@contextlib.contextmanager
def staged(path):
    """Yield a place for a file or directory that is moved to `path` in one step when the block ends.

    Until then it lies in a sibling directory, `.exporting-...`, that no server takes for a version. If the
    block raises an error, it is removed.

    Args:
        path: What to write; it must not exist. Parents are made.

    Yields:
        `pathlib.Path` of a file or directory that does not exist yet, with the name of `path`.

    Raises:
        FileExistsError: If `path` exists, before the block or after it.
    """
    path = pathlib.Path(path)
    check_absent(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".exporting-") as staging:
        complete = pathlib.Path(staging, path.name)
        yield complete
        check_absent(path)
        os.rename(complete, path)
