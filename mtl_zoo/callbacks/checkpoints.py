"""Checkpoint files: there whole or not at all, and checked when they are read."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import warnings

import numpy as np

from mtl_zoo.files import UNREADABLE, check_object, first_line, sha256

NAME = re.compile(r"checkpoint-(\d{6,})-([0-9a-f]{64})\.npz")
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
        number = 1 + max(map(_number, _all(directory)), default=0)
        path = partial.rename(directory / f"checkpoint-{number:06d}-{sha256(partial)}.npz")
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
    for other in _all(directory):
        if other not in (path, previous):
            _remove(other)
    return path


def read(directory, kinds=None):
    """Read the newest checkpoint that is intact, with a warning for each damaged one before it.

    Args:
        directory: Directory, which may be missing.
        kinds: Dictionary from keys of the state to the `files.Kind` of their values. Defaults to no demands.

    Returns:
        Tuple of path and state, or `None` if there is no intact checkpoint. Tuples have become lists.

    Raises:
        ValueError: If it is intact, but no checkpoint.
    """
    for path in reversed(_all(directory)):
        if path.is_file() and sha256(path) == NAME.fullmatch(path.name)[2]:
            return path, _read(path, kinds)
        warnings.warn(
            f"Checkpoint '{path}' is damaged (its SHA-256 is not that of its name) and is left out. An older "
            "one takes its place; without one, training starts from the beginning.",
            stacklevel=2,
        )
    return None


def clear(directory):
    """Remove all checkpoints, the newest last, and the directory if nothing else is in it."""
    directory = pathlib.Path(directory)
    for path in (directory / PARTIAL, *_all(directory)):
        _remove(path)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def move(directory, target):
    """Move the newest checkpoint to another directory, in place of those there, and remove the others."""
    target = pathlib.Path(target)
    clear(target)
    target.mkdir(parents=True, exist_ok=True)
    newest = _all(directory)[-1]
    shutil.copyfile(newest, target / PARTIAL)
    (target / PARTIAL).rename(target / newest.name)
    clear(directory)


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


def _read(path, kinds):
    try:
        with np.load(path, allow_pickle=False) as file:

            def restore(value):
                if value.keys() != ARRAY:
                    return value
                array = file[f"arr_{value['array']}"]
                return array.view(value["dtype"]) if array.dtype.kind == "V" else array  # as bfloat16

            state = json.loads(file["state"].tobytes(), object_hook=restore)
        return check_object(path, state, kinds)
    except UNREADABLE as error:
        raise ValueError(
            f"'{path}' must be a checkpoint of this library; remove it to go on without. "
            f"Received: {first_line(error)}"
        ) from error


def _all(directory):
    """Return the paths of all checkpoints, damaged ones included, the oldest first."""
    found = [path for path in pathlib.Path(directory).glob("checkpoint-*") if NAME.fullmatch(path.name)]
    return sorted(found, key=_number)


def _number(path):
    return int(NAME.fullmatch(path.name)[1])


def _remove(path):
    if not path.is_dir():
        path.unlink(missing_ok=True)


def _flush_directory(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
