"""TFDS builder of `census_income`, imported where data are loaded: TFDS takes a second to import."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from mtl_zoo.datasets.census_income import FEATURES, FILES, LICENSE, NUMBERS, SPLITS, TASKS, URL, read

_DESCRIPTION = """\
Census-Income (KDD): respondents of the Current Population Surveys of 1994 and 1995. The tasks are whether
the income is over 50,000 dollars, and whether the person never married (Ma et al., 2018, section 6.2).
Features are 7 numbers and 30 categories; the instance weight, and the two household columns that state the
marital status, are left out. All rows of the files that are there are permuted and split 70/15/15.
"""

_CITATION = """\
@misc{census1995,
  title = {Census-Income (KDD)},
  year = {2000},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C5N30T},
}
"""


class CensusIncome(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of Census-Income (KDD).

    Reference:
        [UCI Machine Learning Repository, 2000](https://doi.org/10.24432/C5N30T),
        [Ma et al., 2018](https://doi.org/10.1145/3219819.3220007)
    """

    manual_dir = None
    __module__ = "mtl_zoo.datasets.census_income"  # its public place, which TFDS writes into the data
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012

    def _info(self):
        columns = {
            name: tfds.features.Scalar(np.float32) if name in NUMBERS else tfds.features.Text()
            for name in FEATURES
        }
        labels = {task.name: tfds.features.ClassLabel(num_classes=2) for task in TASKS}
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(columns | labels),
            homepage="https://doi.org/10.24432/C5N30T",
            citation=_CITATION,
            license=LICENSE,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        rows = [row for path in self._files(dl_manager) for row in read(path)]
        self.info.metadata["files"] = self._found() or list(FILES)
        order = np.random.default_rng(0).permutation(len(rows))
        parts = np.split(order, [round(0.7 * len(rows)), round(0.85 * len(rows))])
        return {
            split: self._generate_examples(rows, indices)
            for split, indices in zip(SPLITS, parts, strict=True)
        }

    def _generate_examples(self, rows, indices):
        for index in indices:
            yield int(index), rows[index]

    def check_files(self):
        """Raise an error if the dataset was prepared from other files than the manual directory holds now."""
        files = self.info.metadata.get("files")
        if self._found() and files and self._found() != files:
            raise ValueError(
                f"`data_dir` must not hold `census_income` of other files than `manual_dir`; give another or "
                f"delete '{self.data_path}'. Received: {files} in data_dir, {self._found()} in manual_dir"
            )

    def _found(self):
        """Return the names of the files that the manual directory holds."""
        folder = self.manual_dir
        return [] if folder is None else [x for x in FILES if pathlib.Path(folder, x).is_file()]

    def _files(self, dl_manager):
        """Return the files of the manual directory, or else of UCI."""
        if self.manual_dir is None:
            return dl_manager.download([URL + name for name in FILES])
        if not self._found():
            raise ValueError(f"'{self.manual_dir}' must hold {' or '.join(FILES)}.")
        return [pathlib.Path(self.manual_dir, name) for name in self._found()]
