"""TFDS builder of `qm9`, imported where data are loaded: TFDS takes a second to import."""

import numpy as np
import tensorflow_datasets as tfds

from mtl_zoo.datasets import installed, pipeline
from mtl_zoo.datasets.qm9 import FILES, LEAST_DEVIATION, LICENSE, MEANS, PACKAGE, SIZES, TASKS, inputs, read

_DESCRIPTION = """\
QM9: molecules of up to nine atoms of C, N, O and F, and their hydrogen. The tasks are 11 properties that were
computed at the level B3LYP/6-31G(2df,p), less their rounded means. Inputs are the eigenvalues of the Coulomb
matrix and the numbers of atoms, standardized. The 3,054 molecules that failed the authors' check of
consistency are not in the files.
"""


class Qm9Properties(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of properties of molecules, from the files of package `qm9pack`.

    Reference:
        [Ramakrishnan et al., 2014](https://doi.org/10.1038/sdata.2014.22)
    """

    __module__ = "mtl_zoo.datasets.qm9"  # its public place, which TFDS writes into the data
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012

    def _info(self):
        sizes = {"molecule": inputs().shape[1:], "properties": (len(TASKS),)}
        features = {name: tfds.features.Tensor(shape=x, dtype=np.float32) for name, x in sizes.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("molecule", "properties"),
            license=LICENSE,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        parts = [read(installed.find(*PACKAGE, *file)) for file in FILES]
        molecules = _standardized(np.concatenate([molecules for molecules, _ in parts]))
        labels = [
            np.concatenate([found[task.name] for _, found in parts]) - MEANS[task.name] for task in TASKS
        ]
        properties = np.stack(labels, axis=1).astype("float32")
        return {
            split: self._generate_examples(molecules, properties, pipeline.rows(SIZES, split))
            for split in SIZES
        }

    def _generate_examples(self, molecules, properties, rows):
        for row in rows:
            yield int(row), {"molecule": molecules[row], "properties": properties[row]}


def _standardized(molecules):
    """Return inputs less the mean of the training split, over its deviation."""
    train = molecules[pipeline.rows(SIZES, "train")]
    deviation = np.maximum(train.std(axis=0), LEAST_DEVIATION)
    return ((molecules - train.mean(axis=0)) / deviation).astype("float32")
