"""Two overlapping handwritten digits, one task each: MultiMNIST in miniature, without a download."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import convnet, mlp
from mtl_zoo.task import Task

TASKS = (Task.classification("left", 10), Task.classification("right", 10))

FIELD = "vision"
SIZES = {"train": 30_000, "validation": 2_000, "test": 4_000}
LICENSE = "CC BY 4.0"
DOWNLOAD = ""
SPLITS = {split: split for split in SIZES}
DIGIT_SIDE = 8
SIDE = 13
JITTER = 1


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches; the first call prepares the dataset, which takes seconds and no network.

    Args:
        split: `"train"` (30,000 examples, reshuffled every epoch), `"validation"` (2,000) or `"test"`
            (4,000).
        batch_size: Number of examples in a batch, at least 1.
        data_dir: Directory of prepared datasets. Defaults to that of TFDS.
        seed: Seed of the order of training examples; the examples are always the same. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.

    Returns:
        `tf.data.Dataset` of `(image, {"left": label, "right": label})`: float32 `[batch, 13, 13, 1]` in
        `[0, 1]`, and int64 `[batch]` in `[0, 9]`.

    Raises:
        ValueError: If there is no such split, or the batch size is below 1.
        OSError: If the dataset cannot be prepared in `data_dir`.
    """
    from mtl_zoo.datasets._multi_digits_builder import MultiDigits

    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = pipeline.read(MultiDigits(data_dir=data_dir), SPLITS, split, seed)
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def __getattr__(name):
    """Return the TFDS builder `MultiDigits`, imported when it is asked for."""
    if name != "MultiDigits":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mtl_zoo.datasets._multi_digits_builder import MultiDigits

    return MultiDigits


def inputs():
    """Return a fresh input, `[batch, 13, 13, 1]`."""
    return keras.Input((SIDE, SIDE, 1), name="image")


def encoder():
    """Return stages that suit the images: two convolutional ones and a dense one."""
    return (*convnet(32, 64), *mlp(128))


def source_split(classes):
    """Split source images by class, 70% train, 15% validation, 15% test, always in the same way.

    Args:
        classes: Integer array `[images]`.

    Returns:
        Dictionary from the name of each split to the indices of its images.
    """
    from sklearn.model_selection import train_test_split

    train, rest = train_test_split(np.arange(len(classes)), test_size=0.3, stratify=classes, random_state=0)
    validation, test = train_test_split(rest, test_size=0.5, stratify=classes[rest], random_state=0)
    return {"train": train, "validation": validation, "test": test}


def overlay(left, right, random):
    """Overlay digits by the pixelwise maximum, the left one top left and the right one bottom right.

    Args:
        left: Array `[images, 8, 8]`.
        right: Array `[images, 8, 8]`.
        random: `numpy.random.Generator` of the positions.

    Returns:
        Array `[images, 13, 13]`.
    """
    jitter = random.integers(0, JITTER, (2, len(left), 2), endpoint=True)
    return np.maximum(_place(left, jitter[0]), _place(right, SIDE - DIGIT_SIDE - jitter[1]))


def _place(digits, corners):
    """Copy each digit into an empty image, its first pixel at the corner `(row, column)`."""
    index = np.arange(len(digits))[:, np.newaxis, np.newaxis]
    rows, columns = corners.T[..., np.newaxis] + np.arange(DIGIT_SIDE)
    images = np.zeros((len(digits), SIDE, SIDE), digits.dtype)
    images[index, rows[:, :, np.newaxis], columns[:, np.newaxis, :]] = digits
    return images


def _transform(features):
    """Scale pixels from `[0, 255]` to `[0, 1]`."""
    return tf.cast(features["image"], tf.float32) / 255.0, pipeline.pick(features, TASKS)
