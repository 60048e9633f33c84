"""Photographs of cats and dogs: breed, species and segmentation (Oxford-IIIT Pet)."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import unet
from mtl_zoo.task import Task

SIDE = 128
TASKS = (
    Task.classification("breed", 37),
    Task.classification("species", 2),
    Task.segmentation("segmentation", 3, size=(SIDE, SIDE)),
)
FIELD = "vision"
SIZES = {"train": 2_944, "validation": 736, "test": 3_669}
LICENSE = "CC BY-SA 4.0"
DOWNLOAD = "774 MiB"
SPLITS = {"train": "train[:80%]", "validation": "train[80%:]", "test": "test"}


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    With `augment`, training images and their masks are flipped and zoomed at random, together.

    Returns:
        `tf.data.Dataset` of `(image, labels)`: float32 `[batch, 128, 128, 3]` in `[0, 1]`, not keeping the
        ratio of the sides; int64 `"breed"` and `"species"` (0 cat, 1 dog), `[batch]`; and int64
        `"segmentation"`, `[batch, 128, 128]`: 0 animal, 1 background, 2 border.

    Reference:
        [Parkhi et al., 2012](https://www.robots.ox.ac.uk/~vgg/publications/2012/parkhi12a/)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, augment)
    examples = pipeline.read(pipeline.from_catalogue("oxford_iiit_pet", data_dir), SPLITS, split, seed)
    dataset = pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, 1_000, _decode)
    if augment and split == "train":
        return augmentation.augment(dataset, seed, masks=["segmentation"])
    return dataset


def inputs():
    """Return a fresh input, `[batch, 128, 128, 3]`."""
    return keras.Input((SIDE, SIDE, 3), name="image")


def encoder():
    """Return stages that suit the images: a U-Net of four sizes."""
    return unet(32, 64, 128, 256)


def _decode(features):
    image = tf.image.resize(features["image"], (SIDE, SIDE), antialias=True) / 255.0
    mask = tf.image.resize(features["segmentation_mask"], (SIDE, SIDE), method="nearest")[..., 0]
    return {
        "image": tf.clip_by_value(image, 0.0, 1.0),
        "breed": features["label"],
        "species": features["species"],
        "segmentation": tf.cast(mask, tf.int64) - 1,
    }


def _transform(features):
    return features["image"], pipeline.pick(features, TASKS)
