"""From examples to batches: the `tf.data` pipeline that all datasets share."""

import contextlib
import os
import sys

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


def from_catalogue(name, data_dir=None):
    """Return the `tfds.core.DatasetBuilder` of a dataset of the catalogue.

    TFDS takes a second to import, so it is imported here and below where it is used.

    Args:
        name: Name in the catalogue of TFDS, with `/config` if need be.
        data_dir: Directory of prepared datasets. Defaults to that of TFDS.

    Returns:
        Builder, for `read`.
    """
    import tensorflow_datasets as tfds

    return tfds.builder(name, data_dir=data_dir)


def read(builder, splits, split, seed=0, manual_dir=None):
    """Read one split of a TFDS dataset; prepare the dataset first if need be.

    TFDS caches a dataset below 250 MiB in memory, decoded and not yet shuffled.

    Args:
        builder: `tfds.core.DatasetBuilder`.
        splits: Dictionary from the names of splits, of which `"train"` is shuffled, to TFDS split
            instructions such as `"train[:90%]"`.
        split: Name of the split to read.
        seed: Seed of the order in which the files of the training split are read. Defaults to 0.
        manual_dir: Directory with the files that a user downloads by hand. Defaults to that of TFDS.

    Returns:
        `tf.data.Dataset` of one dict of features per example.

    Raises:
        ValueError: If there is no such split.
        OSError: If the dataset cannot be prepared in its `data_dir`.
    """
    import tensorflow_datasets as tfds

    check_split(splits, split)
    prepare(builder, manual_dir)
    return builder.as_dataset(
        split=splits[split],
        shuffle_files=split == "train",
        read_config=tfds.ReadConfig(shuffle_seed=seed, skip_prefetch=True),
    )


def batches(
    examples, split, batch_size, transform, seed=0, drop_remainder=False, shuffle_buffer=10_000, decode=None
):
    """Shuffle, batch and transform examples.

    The training split is reshuffled every epoch, in an order that follows from `seed` (and from the global
    seed, if `keras.utils.set_random_seed` sets one). Other splits keep one order.

    Args:
        examples: `tf.data.Dataset` of one dict of features per example.
        split: Name of the split; `"train"` is shuffled.
        batch_size: Number of examples in a batch, at least 1.
        transform: Function from a batch of features to `(inputs, labels)`.
        seed: Seed of the order of training examples. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        shuffle_buffer: Number of training examples among which the next one is drawn. Defaults to 10,000;
            lower it where examples are large.
        decode: Function from the features of one example to features that all examples have in one shape;
            axes of unknown size are padded to the longest of the batch, strings with `""` and numbers with
            -1. Defaults to `None`: they have one shape already.

    Returns:
        `tf.data.Dataset` of what `transform` returns.

    Raises:
        ValueError: If the batch size is below 1.
    """
    _check_batches(batch_size, seed, drop_remainder)
    if split == "train":
        examples = examples.shuffle(shuffle_buffer, seed=seed)
    if decode is not None:
        examples = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return (
        _batched(examples, batch_size, drop_remainder)
        .map(transform, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def check(
    splits, split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False, manual_dir=None
):
    """Raise an error unless the arguments that `load` functions share are right, before anything is read.

    Args:
        splits: Collection of the names of splits.
        split: Name.
        batch_size: As for `batches`.
        data_dir: Path or `None`.
        seed: As for `batches`.
        drop_remainder: As for `batches`.
        augment: Boolean.
        manual_dir: Path or `None`.

    Raises:
        ValueError: If one is not.
    """
    check_split(splits, split)
    _check_batches(batch_size, seed, drop_remainder)
    augment = arguments.flag("augment", augment)
    for name, path in (("data_dir", data_dir), ("manual_dir", manual_dir)):
        if path is not None:
            arguments.path(name, path)


def check_split(splits, split):
    """Raise an error unless there is such a split.

    Args:
        splits: Collection of the names of splits.
        split: Name.

    Raises:
        ValueError: If `splits` does not hold `split`.
    """
    arguments.option("split", split, list(splits))


def pick(features, tasks):
    """Return the labels of tasks from a dict of features that has them under the names of the tasks."""
    return {task.name: features[task.name] for task in tasks}


def rows(sizes, split):
    """Return which rows of a table are those of a split, after a permutation that is always the same.

    Args:
        sizes: Dictionary from the names of splits to their numbers of rows, which are the whole table's.
        split: Name.

    Returns:
        Array of integers.

    Example:

    >>> {split: rows({"train": 3, "test": 2}, split).tolist() for split in ("train", "test")}
    {'train': [2, 0, 1], 'test': [3, 4]}
    """
    order = np.random.RandomState(0).permutation(sum(sizes.values()))
    parts = np.split(order, np.cumsum(list(sizes.values())))
    return dict(zip(sizes, parts, strict=False))[split]


def prepare(builder, manual_dir=None):
    """Write a TFDS dataset to its `data_dir`, once, with a progress bar on stderr.

    TFDS writes to a temporary directory and renames it, so a dataset is there whole or not at all. Of several
    processes on one machine one prepares it and the others wait, then read its files.

    Args:
        builder: `tfds.core.DatasetBuilder`.
        manual_dir: As for `read`.

    Raises:
        OSError: If the directory cannot be written, or the source cannot be downloaded or read.
    """
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(try_download_gcs=False, manual_dir=manual_dir)
    try:
        with contextlib.redirect_stdout(sys.stderr), _alone(builder.data_dir_root):
            if builder.is_prepared() and not builder.info.initialized:  # by another process, just now
                builder.info.read_from_directory(builder.data_path)
            builder.download_and_prepare(download_config=config)
    except (OSError, *bad_source()) as error:
        if not builder.is_prepared():  # or else another process was first
            raise OSError(
                f"`data_dir` must be a directory in which '{builder.name}' can be prepared, and its source "
                f"in reach and whole. Received: data_dir='{builder.data_dir_root}' "
                f"({type(error).__name__}: {error})"
            ) from error


def bad_source():
    """Return what TFDS raises besides `OSError`: files missing, downloads that fail, damaged archives."""
    from tensorflow_datasets.core.download import download_manager, extractor, util

    return (
        AssertionError,
        download_manager.NonMatchingChecksumError,
        util.DownloadError,
        extractor.ExtractError,
        extractor.UnsafeArchiveError,
    )


@contextlib.contextmanager
def _alone(folder):
    """Keep other processes of this machine waiting, where the system has locks on directories."""
    os.makedirs(folder, exist_ok=True)
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_batches(batch_size, seed, drop_remainder):
    batch_size = arguments.integer("batch_size", batch_size, 1, arguments.EXAMPLES)
    seed = arguments.integer("seed", seed, 0, arguments.SEED)
    drop_remainder = arguments.flag("drop_remainder", drop_remainder)


def _batched(examples, batch_size, drop_remainder):
    """Batch examples, padded where their shapes are open."""
    spec = tf.nest.flatten(examples.element_spec)
    if all(part.shape.is_fully_defined() for part in spec):
        return examples.batch(batch_size, drop_remainder=drop_remainder)
    values = tf.nest.map_structure(
        lambda part: "" if part.dtype == tf.string else tf.cast(-1, part.dtype), examples.element_spec
    )
    return examples.padded_batch(batch_size, padding_values=values, drop_remainder=drop_remainder)
