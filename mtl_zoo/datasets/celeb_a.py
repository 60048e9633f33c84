"""Faces with 40 yes-or-no attributes: CelebA. Train on any subset of its tasks."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import resnet
from mtl_zoo.task import Task

ATTRIBUTES = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)
NAMES = {attribute: attribute.lower().replace("5_", "five_") for attribute in ATTRIBUTES}

TASKS = tuple(Task.binary(name) for name in NAMES.values())
FIELD = "vision"
SIZES = {"train": 162_770, "validation": 19_867, "test": 19_962}
LICENSE = "non-commercial research"
DOWNLOAD = "1.4 GiB"
SPLITS = {split: split for split in SIZES}
SIDE = 64


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    With `augment`, training images are flipped and zoomed at random.

    Returns:
        `tf.data.Dataset` of `(image, {attribute: label})`: float32 `[batch, 64, 64, 3]` in `[0, 1]`, the
        middle square of the aligned photograph; and int64 `[batch]`, 0 or 1. Labels have the names of the
        attributes in lower case; a digit in front is spelled out.

    Reference:
        [Liu et al., 2015](https://arxiv.org/abs/1411.7766)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, augment)
    examples = pipeline.read(pipeline.from_catalogue("celeb_a", data_dir), SPLITS, split, seed)
    dataset = pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, 2_000, _decode)
    return augmentation.augment(dataset, seed) if augment and split == "train" else dataset


def inputs():
    """Return a fresh input, `[batch, 64, 64, 3]`."""
    return keras.Input((SIDE, SIDE, 3), name="image")


def encoder():
    """Return stages that suit the images: four residual ones."""
    return resnet(32, 64, 128, 256)


def _decode(features):
    image = features["image"][20:198]  # 218 x 178 to 178 x 178
    image = tf.image.resize(image, (SIDE, SIDE), antialias=True) / 255.0
    labels = {name: tf.cast(features["attributes"][key], tf.int64) for key, name in NAMES.items()}
    return {"image": tf.clip_by_value(image, 0.0, 1.0), **labels}


def _transform(features):
    return features["image"], pipeline.pick(features, TASKS)
