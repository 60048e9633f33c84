"""Two overlapping handwritten digits, one task each: MultiMNIST in miniature, without a download."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

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

_DESCRIPTION = """\
Two handwritten digits in one image of 13x13 pixels: one toward the top left, one toward the bottom right,
overlaid by the pixelwise maximum. The tasks are to classify the left and the right digit.

The digits are the 1,797 images of 8x8 pixels that scikit-learn contains (the test set of the UCI Optical
Recognition of Handwritten Digits). They are split into 70% train, 15% validation and 15% test, stratified by
class, before they are overlaid, so no source image occurs in two splits. The left digit starts at row and
column 0 or 1, the right one at 4 or 5, each drawn uniformly, so the 8x8 boxes overlap by 3 to 5 pixels along
each axis. All 100 pairs of classes occur equally often in each split.
"""

_CITATION = """\
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49},
}
"""


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
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    examples = pipeline.read(MultiDigits(data_dir=data_dir), SPLITS, split, seed)
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def inputs():
    """Return a fresh input, `[batch, 13, 13, 1]`."""
    return keras.Input((SIDE, SIDE, 1), name="image")


def encoder():
    """Return stages that suit the images: two convolutional ones and a dense one."""
    return (*convnet(32, 64), *mlp(128))


class MultiDigits(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of MultiMNIST (Sabour et al., 2017) on the digits that scikit-learn contains.

    The features `left_source` and `right_source` are the indices of the two images in
    `sklearn.datasets.load_digits`.

    Note:
        Deviations from Sabour et al.: digits of 8x8 pixels rather than 28x28; one digit is always toward the
        top left and one toward the bottom right, which makes the two tasks, as Sener and Koltun do; both may
        be of one class, so that the label of one task tells nothing about the other; and as there are few
        source images, each occurs in many examples of its split. The splits share writers, since
        scikit-learn does not say who wrote a digit.

    Reference:
        [Sabour et al., 2017](https://arxiv.org/abs/1710.09829),
        [Sener and Koltun, 2018](https://arxiv.org/abs/1810.04650)
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
            "left": tfds.features.ClassLabel(num_classes=10),
            "right": tfds.features.ClassLabel(num_classes=10),
            "left_source": tfds.features.Scalar(np.int64),
            "right_source": tfds.features.Scalar(np.int64),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", {"left": "left", "right": "right"}),
            homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
            citation=_CITATION,
            license=LICENSE,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        random = np.random.default_rng(list(SIZES).index(split))
        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        sources = source_split(digits.target)[split]
        left, right = np.divmod(np.arange(SIZES[split]) % 100, 10)
        left_source, right_source = (_draw(sources, digits.target, label, random) for label in (left, right))
        image = overlay(images[left_source], images[right_source], random)
        columns = (image[..., np.newaxis], left, right, left_source, right_source)
        for key, values in enumerate(zip(*columns, strict=True)):
            yield key, dict(zip(self.info.features, values, strict=True))


def source_split(classes):
    """Split source images by class, 70% train, 15% validation, 15% test, always in the same way.

    Args:
        classes: Integer array `[images]`.

    Returns:
        Dictionary from the name of each split to the indices of its images.
    """
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


def _draw(sources, classes, labels, random):
    """Draw a source image of the wanted class for every label, with replacement."""
    drawn = np.empty_like(labels)
    for label in np.unique(labels):
        wanted = labels == label
        drawn[wanted] = random.choice(sources[classes[sources] == label], np.count_nonzero(wanted))
    return drawn


def _transform(features):
    """Scale pixels from `[0, 255]` to `[0, 1]`."""
    return tf.cast(features["image"], tf.float32) / 255.0, pipeline.pick(features, TASKS)
