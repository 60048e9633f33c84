"""Rendered scenes of solids: segmentation, depth and surface normals, without a download."""

import math

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import _ray_casting as ray_casting
from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import unet
from mtl_zoo.task import Task

SIDE = 64
TASKS = (
    Task.segmentation("segmentation", 5, size=(SIDE, SIDE)),
    Task.dense_regression("depth", 1, size=(SIDE, SIDE)),
    Task.dense_regression("normals", 3, size=(SIDE, SIDE)),
)
CLASSES = ("wall", "floor", "sphere", "box", "cylinder")

FIELD = "vision"
SIZES = {"train": 4_000, "validation": 500, "test": 500}
LICENSE = "Apache-2.0"
DOWNLOAD = ""
SPLITS = {split: split for split in SIZES}
FOCAL = SIDE / 2 / math.tan(math.radians(30))  # pixels; the field of view is 60 degrees
MAX_SOLIDS = 4
CELLS = np.array([(-0.7, 2.2), (0.7, 2.2), (-0.7, 3.6), (0.7, 3.6)])  # centres on the floor, x and z
CELL_RADIUS = 0.7
AMBIENT = 0.3
NOISE = 0.02
CHUNK = 50


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    Preparing the dataset takes seconds and no network. With `augment`, half of the training scenes are
    mirrored, others every epoch; there is no zoom, since it would change angles.

    Returns:
        `tf.data.Dataset` of `(image, {"segmentation": classes, "depth": metres, "normals": vectors})`:
        float32 `[batch, 64, 64, 3]` in `[0, 1]`; uint8 `[batch, 64, 64]`, indices of `CLASSES`; float32
        `[batch, 64, 64, 1]`, distances along the optical axis; and float32 `[batch, 64, 64, 3]`, unit
        vectors toward the camera, x to the right, y down, z away from the camera.
    """
    from mtl_zoo.datasets._shape_scenes_builder import ShapeScenes

    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, augment)
    examples = pipeline.read(ShapeScenes(data_dir=data_dir), SPLITS, split, seed)
    dataset = pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )
    if augment and split == "train":
        return augmentation.augment(
            dataset, seed, zoom=1.0, masks=["segmentation"], depths=["depth"], normals=["normals"]
        )
    return dataset


def __getattr__(name):
    """Return the TFDS builder `ShapeScenes`, imported when it is asked for."""
    if name != "ShapeScenes":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mtl_zoo.datasets._shape_scenes_builder import ShapeScenes

    return ShapeScenes


def inputs():
    """Return a fresh input, `[batch, 64, 64, 3]`."""
    return keras.Input((SIDE, SIDE, 3), name="image")


def encoder():
    """Return stages that suit the images: a U-Net of four sizes."""
    return unet(16, 32, 64, 128)


def draw(number, random):
    """Draw scenes.

    Args:
        number: Number of scenes.
        random: `numpy.random.Generator`.

    Returns:
        `Scenes`, as `mtl_zoo.datasets._ray_casting` describes them.
    """
    shape = (number, MAX_SOLIDS)
    height = random.uniform(1.4, 1.9, number)
    number_of_solids = random.integers(1, MAX_SOLIDS, number, endpoint=True)
    kind = random.integers(ray_casting.SPHERE, ray_casting.CYLINDER, shape, endpoint=True)
    radius = random.uniform(0.3, 0.6, shape)
    size = _sizes(kind, radius, random)
    cells = random.permuted(np.tile(np.arange(MAX_SOLIDS), (number, 1)), axis=1)
    room = (CELL_RADIUS - radius)[..., np.newaxis]
    x, z = np.moveaxis(CELLS[cells] + room * random.uniform(-1, 1, (*shape, 2)), -1, 0)
    return ray_casting.Scenes(
        pitch=np.radians(random.uniform(15, 30, number)),
        height=height,
        wall_distance=random.uniform(5, 6.5, number),
        wall_yaw=np.radians(random.uniform(-20, 20, number)),
        kind=np.where(np.arange(MAX_SOLIDS) < number_of_solids[:, np.newaxis], kind, ray_casting.NO_SOLID),
        centre=np.stack([x, height[:, np.newaxis] - size[..., 1], z], axis=-1),
        size=size,
        yaw=random.uniform(0, np.pi, shape),
    )


def _sizes(kind, radius, random):
    """Return half sides `[n, s, 3]` of solids whose outlines from above fit into circles of the radii."""
    half_height = random.uniform(0.25, 0.6, kind.shape)
    angle = random.uniform(np.pi / 6, np.pi / 3, kind.shape)
    box = np.stack([radius * np.cos(angle), half_height, radius * np.sin(angle)], axis=-1)
    cylinder = np.stack([radius, half_height, radius], axis=-1)
    sphere = np.stack([radius] * 3, axis=-1)
    kind = kind[..., np.newaxis]
    return np.where(kind == ray_casting.BOX, box, np.where(kind == ray_casting.SPHERE, sphere, cylinder))


def render(scenes, random):
    """Photograph scenes in random colours under a random light, and label every pixel.

    Args:
        scenes: `Scenes`, as `draw` returns them.
        random: `numpy.random.Generator` of colours, light and noise.

    Returns:
        Dict of the features of the dataset, as arrays with the scenes as first axis.
    """
    surface, depth, normals = ray_casting.cast(scenes, ray_casting.camera_rays(SIDE, FOCAL))
    planes = np.tile([ray_casting.WALL, ray_casting.FLOOR], (len(surface), 1))
    classes = np.concatenate([planes, scenes.kind], axis=1)
    maps = {
        "image": _photograph(surface, normals, random),
        "segmentation": np.take_along_axis(classes, surface, axis=1).astype(np.uint8),
        "depth": depth.astype(np.float32),
        "normals": normals.astype(np.float32),
    }
    channels = {"image": (3,), "segmentation": (), "depth": (1,), "normals": (3,)}
    return {name: x.reshape(-1, SIDE, SIDE, *channels[name]) for name, x in maps.items()}


def _photograph(surface, normals, random):
    """Return pixels `[n, pixels, 3]`, uint8, of surfaces in random colours."""
    number = len(surface)
    colors = random.uniform(0.2, 1.0, (number, 2 + MAX_SOLIDS, 3))
    light = random.uniform((-1.0, -1.0, -1.0), (1.0, -0.3, -0.3), (number, 3))
    light /= np.linalg.norm(light, axis=-1, keepdims=True)
    brightness = AMBIENT + (1 - AMBIENT) * np.maximum(normals @ light[..., np.newaxis], 0.0)
    pixels = brightness * np.take_along_axis(colors, surface[..., np.newaxis], axis=1)
    pixels += random.normal(0.0, NOISE, pixels.shape)
    return np.rint(255 * pixels.clip(0.0, 1.0)).astype(np.uint8)


def _transform(features):
    """Scale pixels from `[0, 255]` to `[0, 1]`."""
    return tf.cast(features["image"], tf.float32) / 255.0, pipeline.pick(features, TASKS)
