"""TFDS builder of `multi_digits`, imported where data are loaded: TFDS takes a second to import."""

import numpy as np
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

from mtl_zoo.datasets.multi_digits import LICENSE, SIDE, SIZES, overlay, source_split

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

    __module__ = "mtl_zoo.datasets.multi_digits"  # its public place, which TFDS writes into the data
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


def _draw(sources, classes, labels, random):
    """Draw a source image of the wanted class for every label, with replacement."""
    drawn = np.empty_like(labels)
    for label in np.unique(labels):
        wanted = labels == label
        drawn[wanted] = random.choice(sources[classes[sources] == label], np.count_nonzero(wanted))
    return drawn
