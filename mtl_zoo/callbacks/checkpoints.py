"""Checkpoint files: there whole or not at all, and checked when they are read."""

import contextlib
import hashlib
import json
import os
import pathlib
import warnings

import numpy as np

PATTERN = "checkpoint-*.npz"
PARTIAL = "partial.npz"
ARRAY = {"array", "dtype"}


def write(directory, state, previous=None):
    """Write a checkpoint beside the others, and remove all but it and the previous one.

    The file is written under another name, flushed to the disk and renamed, so that it is complete whenever
    it is there. Its name holds the SHA-256 of its content: `checkpoint-000012-<64 digits>.npz`.

    Args:
        directory: Directory, which is made if need be.
        state: Nested dicts and lists of what JSON holds and of arrays of any numeric type.
        previous: Path of the checkpoint to keep. Defaults to none.

    Returns:
        Path of the checkpoint.

    Raises:
        OSError: If it cannot be written; those that are there stay.
        TypeError: If the state holds something else.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / PARTIAL
    try:
        _write(partial, state)
        number = 1 + max((int(path.name.split("-")[1]) for path in directory.glob(PATTERN)), default=0)
        path = partial.rename(directory / f"checkpoint-{number:06d}-{_digest(partial)}.npz")
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(
                error.errno,
                f"A checkpoint must find room in '{directory}'; those before are intact ({error.strerror})",
            ) from error
        raise
    _flush_directory(directory)
    for other in directory.glob(PATTERN):
        if other not in (path, previous):
            other.unlink()
    return path


def read(directory):
    """Read the newest checkpoint that is intact, with a warning for each damaged one before it.

    Args:
        directory: Directory, which may be missing.

    Returns:
        Tuple of path and state, or `None` if there is no intact checkpoint. Tuples have become lists.
    """
    for path in sorted(pathlib.Path(directory).glob(PATTERN), reverse=True):
        if _digest(path) == path.stem.split("-")[2]:
            return path, _read(path)
        warnings.warn(
            f"Checkpoint '{path}' is damaged (its SHA-256 is not that of its name) and is left out. An older "
            "one takes its place; without one, training starts from the beginning.",
            stacklevel=2,
        )
    return None


def clear(directory):
    """Remove all checkpoints, the newest last, and the directory if nothing else is in it."""
    directory = pathlib.Path(directory)
    for path in (directory / PARTIAL, *sorted(directory.glob(PATTERN))):
        path.unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def as_read(value):
    """Return what JSON makes of a value: lists of tuples."""
    return json.loads(json.dumps(value))


def _write(path, state):
    arrays = []

    def keep(value):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise TypeError(f"A checkpoint must hold numbers, strings and arrays. Received: {value!r}")
        arrays.append(array)
        return {"array": len(arrays) - 1, "dtype": array.dtype.name}

    text = json.dumps(state, default=keep)
    with path.open("wb") as file:
        np.savez(file, *arrays, state=np.frombuffer(text.encode(), np.uint8))
        file.flush()
        os.fsync(file.fileno())


def _read(path):
    with np.load(path, allow_pickle=False) as file:

        def restore(value):
            if value.keys() != ARRAY:
                return value
            array = file[f"arr_{value['array']}"]
            return array.view(value["dtype"]) if array.dtype.kind == "V" else array  # as bfloat16

        return json.loads(file["state"].tobytes(), object_hook=restore)


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush_directory(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
