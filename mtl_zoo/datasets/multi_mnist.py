"""Two overlapping MNIST digits, one task each: MultiMNIST in full size."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import convnet, mlp
from mtl_zoo.task import Task

TASKS = (Task.classification("left", 10), Task.classification("right", 10))
FIELD = "vision"
SIZES = {"train": 55_000, "validation": 5_000, "test": 10_000}
LICENSE = "CC BY-SA 3.0"
DOWNLOAD = "11 MiB"
SPLITS = {"train": "train[:55000]", "validation": "train[55000:]", "test": "test"}
DIGIT_SIDE = 28
SIDE = 36
JITTER = 3


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    Returns:
        `tf.data.Dataset` of `(image, {"left": label, "right": label})`: float32 `[batch, 36, 36, 1]` in
        `[0, 1]`, and int64 `[batch]` in `[0, 9]`.

    Note:
        Every digit of a split is once a left one and once a right one, in pairs that are always the same.
        The left digit is up to 3 pixels from the top left corner, the right one from the bottom right one.
        The paper shifts both digits by up to 4 pixels; that one is always left makes the two tasks, as Sener
        and Koltun do.

    Reference:
        [Sabour et al., 2017](https://arxiv.org/abs/1710.09829),
        [Sener and Koltun, 2018](https://arxiv.org/abs/1810.04650)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    digits = pipeline.read(pipeline.from_catalogue("mnist", data_dir), SPLITS, split)
    partners = digits.shuffle(SIZES[split], seed=0, reshuffle_each_iteration=False)
    examples = tf.data.Dataset.zip(digits, partners).enumerate().map(_overlay, tf.data.AUTOTUNE)
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def inputs():
    """Return a fresh input, `[batch, 36, 36, 1]`."""
    return keras.Input((SIDE, SIDE, 1), name="image")


def encoder():
    """Return stages that suit the images: three convolutional ones and a dense one."""
    return (*convnet(32, 64, 64), *mlp(128))


def _overlay(index, pair):
    """Overlay two digits by the pixelwise maximum, at corners that follow from the index."""
    left, right = pair
    corners = tf.random.stateless_uniform((2, 2), [index, 0], 0, JITTER + 1, tf.int32)
    top_left, bottom_right = corners[0], SIDE - DIGIT_SIDE - corners[1]
    image = tf.maximum(_place(left["image"], top_left), _place(right["image"], bottom_right))
    return {"image": image, "left": left["label"], "right": right["label"]}


def _place(digit, corner):
    return tf.image.pad_to_bounding_box(digit, corner[0], corner[1], SIDE, SIDE)


def _transform(features):
    return tf.cast(features["image"], tf.float32) / 255.0, pipeline.pick(features, TASKS)
