"""Photographs of retinas: grade of diabetic retinopathy, and whether to refer the patient."""

import keras
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import resnet
from mtl_zoo.task import Task

TASKS = (Task.classification("grade", 5), Task.binary("referable"))
FIELD = "medicine"
SIZES = {"train": 35_126, "validation": 10_906, "test": 42_670}
LICENSE = "rules of the Kaggle competition"
DOWNLOAD = "Kaggle, by hand: --manual_dir"
SPLITS = {split: split for split in SIZES}
SIDE = 128
REFERABLE = 2  # moderate, and worse


def load(
    split,
    batch_size,
    data_dir=None,
    manual_dir=None,
    seed=0,
    drop_remainder=False,
    config="btgraham-300",
    augment=False,
):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    The pictures are downloaded by hand from https://www.kaggle.com/c/diabetic-retinopathy-detection/data:
    `manual_dir` holds the folders `train`, `test` and `sample`, and `trainLabels.csv`. Preparing them needs
    the package `opencv-python-headless`. `config` is that of TFDS: `"btgraham-300"` (cropped to the eye,
    colours relative to their surroundings), `"250K"`, `"1M"` or `"original"`. With `augment`, training images
    are flipped and zoomed at random.

    Returns:
        `tf.data.Dataset` of `(image, {"grade": class, "referable": label})`: float32 `[batch, 128, 128, 3]`
        in `[0, 1]`, and int64 `[batch]`; referable are grades 2 to 4.

    Reference:
        [Kaggle and EyePACS, 2015](https://www.kaggle.com/c/diabetic-retinopathy-detection)
    """
    pipeline.check(
        SIZES, split, batch_size, data_dir, seed, drop_remainder, augment=augment, manual_dir=manual_dir
    )
    arguments.text("config", config)
    builder = pipeline.from_catalogue(f"diabetic_retinopathy_detection/{config}", data_dir)
    examples = pipeline.read(builder, SPLITS, split, seed, manual_dir)
    dataset = pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, 1_000, _decode)
    return augmentation.augment(dataset, seed) if augment and split == "train" else dataset


def inputs():
    """Return a fresh input, `[batch, 128, 128, 3]`."""
    return keras.Input((SIDE, SIDE, 3), name="image")


def encoder():
    """Return stages that suit the images: five residual ones."""
    return resnet(32, 64, 128, 256, 256)


def _decode(features):
    image = tf.image.resize(features["image"], (SIDE, SIDE), antialias=True) / 255.0
    grade = features["label"]
    referable = tf.where(grade < 0, grade, tf.cast(grade >= REFERABLE, grade.dtype))
    return {"image": tf.clip_by_value(image, 0.0, 1.0), "grade": grade, "referable": referable}


def _transform(features):
    return features["image"], pipeline.pick(features, TASKS)
