"""Small photographs of 100 classes in 20 superclasses: CIFAR-100."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import resnet
from mtl_zoo.task import Task

TASKS = (Task.classification("fine", 100), Task.classification("coarse", 20))
FIELD = "vision"
SIZES = {"train": 45_000, "validation": 5_000, "test": 10_000}
LICENSE = "not stated"
DOWNLOAD = "161 MiB"
SPLITS = {"train": "train[:90%]", "validation": "train[90%:]", "test": "test"}


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    With `augment`, training images are flipped and zoomed at random.

    Returns:
        `tf.data.Dataset` of `(image, {"fine": class, "coarse": class})`: float32 `[batch, 32, 32, 3]` in
        `[0, 1]`, and int64 `[batch]`.

    Reference:
        [Krizhevsky, 2009](https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, augment)
    examples = pipeline.read(pipeline.from_catalogue("cifar100", data_dir), SPLITS, split, seed)
    dataset = pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, SIZES["train"], _decode
    )
    return augmentation.augment(dataset, seed) if augment and split == "train" else dataset


def inputs():
    """Return a fresh input, `[batch, 32, 32, 3]`."""
    return keras.Input((32, 32, 3), name="image")


def encoder():
    """Return stages that suit the images: four residual ones."""
    return resnet(32, 64, 128, 256)


def _decode(features):
    return {"image": features["image"], "fine": features["label"], "coarse": features["coarse_label"]}


def _transform(features):
    return tf.cast(features["image"], tf.float32) / 255.0, pipeline.pick(features, TASKS)
