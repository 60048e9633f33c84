"""Files that may be cut, changed or another's when they are read, and that are whole when they are there."""

import contextlib
import hashlib
import json
import math
import os
import pathlib
import reprlib
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

# What readers of archives, arrays and models raise when content makes no sense.
UNREADABLE = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError),
    *(OSError, RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error),
)


class Kind(NamedTuple):
    """What a value in a file must be.

    Args:
        text: What it must be, in words that follow "must be".
        holds: Function from the value to whether it is that.
        optional: Whether it may be missing. Defaults to `False`.
    """

    text: str
    holds: Callable
    optional: bool = False


TEXT = Kind("a string", lambda x: isinstance(x, str))
COUNT = Kind("an integer from 0 on", lambda x: type(x) is int and 0 <= x < 2**63)
POSITIVE = Kind("a positive integer", lambda x: type(x) is int and 0 < x < 2**63)
TEXT_OR_NULL = Kind("a string or null", lambda x: x is None or isinstance(x, str))


def check_file(path):
    """Return a path if there is a file; directories, pipes and devices are none.

    Raises:
        FileNotFoundError: If there is no file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' must be a file.")
    return path


def read_json(path, kinds=None, remedy=""):
    """Read a JSON file that holds an object.

    Args:
        path: File.
        kinds: Dictionary from keys to the `Kind` of their values. Defaults to no demands.
        remedy: Sentence for errors that says what to do. Defaults to none.

    Returns:
        Dictionary.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is not JSON, not an object, has a key twice, or a value is not of its kind.
    """
    path = check_file(path)
    try:
        values = json.loads(path.read_text("utf-8"), object_pairs_hook=_dictionary)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"'{path}' must be JSON. {remedy} Received: {first_line(error)}") from error
    return check_object(path, values, kinds, remedy)


def check_object(path, values, kinds=None, remedy=""):
    """Return what a file holds if it is a dictionary with values of the right kinds.

    Args:
        path: File, for errors.
        values: What it holds.
        kinds: Dictionary from keys to the `Kind` of their values. Defaults to no demands.
        remedy: Sentence for errors that says what to do. Defaults to none.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(values, dict):
        raise ValueError(f"'{path}' must hold a JSON object. {remedy} Received: {reprlib.repr(values)}")
    for key, kind in (kinds or {}).items():
        if not (kind.holds(values[key]) if key in values else kind.optional):
            received = reprlib.repr(values[key]) if key in values else f"no '{key}'"
            raise ValueError(f"'{key}' in '{path}' must be {kind.text}. {remedy} Received: {received}")
    return values


def load_model(path, remedy=""):
    """Load a Keras file, without what it was compiled with, and never code that is in it.

    Args:
        path: File.
        remedy: Sentence for errors that says what to do. Defaults to none.

    Returns:
        `keras.Model`.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If a part of it is missing or damaged, or a layer is not known here.
    """
    import keras  # by what flags do not need, which answer without TensorFlow

    path = check_file(path)
    try:
        if path.suffix == ".keras":
            _check_archive(path)  # Keras reads some parts without a look at their checksums
        return keras.saving.load_model(path, compile=False)
    except UNREADABLE as error:
        raise ValueError(
            f"'{path}' must be a whole Keras file whose layers are of Keras or this library. {remedy} "
            f"Received: {first_line(error)}"
        ) from error


def is_list(x, kind):
    """Return whether `x` is a list of objects of a class."""
    return isinstance(x, list) and all(isinstance(value, kind) for value in x)


def sha256(path):
    """Return the SHA-256 of a file, in 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with check_file(path).open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def replaced(path):
    """Yield a place for a file that takes that of `path` in one step when the block ends.

    Until then it lies in a sibling directory, `.saving-...`, which is removed in any case.

    Args:
        path: File, which may exist.

    Yields:
        `pathlib.Path` of a file that does not exist yet, with the name of `path`.

    Raises:
        OSError: If it cannot be written; the file that is there stays.
    """
    path = pathlib.Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as staging:
            partial = pathlib.Path(staging, path.name)
            yield partial
            os.replace(partial, path)
    except OSError as error:
        raise OSError(
            f"'{path}' must be a file that can be written, with room on its disk; what was there stays "
            f"({error.strerror or error})."
        ) from error


@contextlib.contextmanager
def reserved(path):
    """Make a directory, see that it can be written, and remove it at the end if it is empty.

    Args:
        path: Directory, which may exist.

    Yields:
        The directory as `pathlib.Path`.

    Raises:
        OSError: If there is no writing to the directory.
    """
    path = pathlib.Path(path)
    made = [part for part in (path, *path.parents) if not part.exists()]
    try:
        _probe(path)
        yield path
    finally:
        with contextlib.suppress(OSError):
            for part in made:
                part.rmdir()


@contextlib.contextmanager
def locked(path):
    """Keep other processes that ask for the same out of a directory; the system ends it with this process.

    Args:
        path: Directory.

    Raises:
        ValueError: If another process has it. Where a system knows no such lock, as Windows, nobody is kept
            out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    place = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path} must be free. Received: another process is at work in it") from None
        yield
    finally:
        os.close(place)


def write_json(path, values):
    """Write a dictionary so that people can read it; the file is there whole, or as it was before.

    NaN and infinity, which JSON has not, become `null`.
    """
    with replaced(path) as partial:
        partial.write_text(json.dumps(_finite(values), indent=2, allow_nan=False) + "\n")


def first_line(error):
    """Return the first line of an error that is not empty."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()


def _finite(value):
    """Return a value of JSON with `None` for what it has not."""
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _dictionary(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("an object with a key twice")
    return values


def _check_archive(path):
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"a damaged part, {damaged}")


def _probe(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise OSError(f"'{path}' must be a directory that can be written ({error.strerror}).") from error
