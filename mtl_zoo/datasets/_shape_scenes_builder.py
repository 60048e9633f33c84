"""TFDS builder of `shape_scenes`, imported where data are loaded: TFDS takes a second to import."""

import numpy as np
import tensorflow_datasets as tfds

from mtl_zoo.datasets.shape_scenes import CHUNK, LICENSE, SIDE, SIZES, TASKS, draw, render

_DESCRIPTION = """\
Rendered scenes of one to four solids (spheres, boxes, upright cylinders) on a floor in front of a wall, in
images of 64x64 pixels. The tasks are to tell, per pixel, the class, the depth and the surface normal.

The camera is 1.4 to 1.9 m above the floor, looks down by 15 to 30 degrees, and has a field of view of 60
degrees; the wall is 5 to 6.5 m away and turned by up to 20 degrees. The floor has four cells; each solid
stands in one of its own, so that none touches another. Kinds, sizes, places, turns and colours are drawn
independently, so a colour tells nothing about a class. One light from a random direction above and behind
the camera shades the surfaces (Lambert), with ambient light and without shadows; noise of 2% is added.
"""


class ShapeScenes(tfds.core.GeneratorBasedBuilder):
    """TFDS builder of rendered scenes of solids.

    Note:
        A surface is visible where its normal points against the ray of its pixel. Off the optical axis the z
        of such a normal may be above 0, at the rim of a sphere for instance.
    """

    __module__ = "mtl_zoo.datasets.shape_scenes"  # its public place, which TFDS writes into the data
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012

    def _info(self):
        zlib = tfds.features.Encoding.ZLIB
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 3)),
            "segmentation": tfds.features.Tensor(shape=(SIDE, SIDE), dtype=np.uint8, encoding=zlib),
            "depth": tfds.features.Tensor(shape=(SIDE, SIDE, 1), dtype=np.float32, encoding=zlib),
            "normals": tfds.features.Tensor(shape=(SIDE, SIDE, 3), dtype=np.float32, encoding=zlib),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=_DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", {task.name: task.name for task in TASKS}),
            license=LICENSE,
        )

    def _split_generators(self, dl_manager):
        del dl_manager  # nothing to download
        return {split: self._generate_examples(split) for split in SIZES}

    def _generate_examples(self, split):
        random = np.random.default_rng(list(SIZES).index(split))
        for start in range(0, SIZES[split], CHUNK):
            columns = render(draw(CHUNK, random), random)
            for key, values in enumerate(zip(*columns.values(), strict=True), start):
                yield key, dict(zip(columns, values, strict=True))
