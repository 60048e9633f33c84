"""Indoor scenes: depth, and surface normals derived from it (NYU Depth V2)."""

import keras
import tensorflow as tf

from mtl_zoo.datasets import augmentation, pipeline
from mtl_zoo.encoders import unet
from mtl_zoo.task import Task

SIZE = (240, 320)
TASKS = (Task.dense_regression("depth", 1, size=SIZE), Task.dense_regression("normals", 3, size=SIZE))
FIELD = "vision"
SIZES = {"train": 45_205, "validation": 2_379, "test": 654}
LICENSE = "not stated"
DOWNLOAD = "31.9 GiB"
SPLITS = {"train": "train[:95%]", "validation": "train[95%:]", "test": "validation"}
FOCAL, CENTRE = (518.857901, 519.469611), (325.582449, 253.736166)  # pixels of the full size, x and y


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, augment=False):
    """Load one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    With `augment`, training images and their maps are flipped and zoomed at random, together.

    Returns:
        `tf.data.Dataset` of `(image, {"depth": metres, "normals": vectors})`: float32 `[batch, 240, 320, 3]`
        in `[0, 1]`, `[batch, 240, 320, 1]` and `[batch, 240, 320, 3]`, the normals as `normals_from_depth`
        returns them. Labels are NaN where the camera measured nothing.

    Note:
        The test split is the official one, whose scenes training never sees. Validation frames are drawn from
        the same recordings as the training frames, as TFDS does not name the scene.

    Reference:
        [Silberman et al., 2012](https://cs.nyu.edu/~silberman/papers/indoor_seg_support.pdf)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, augment)
    examples = pipeline.read(pipeline.from_catalogue("nyu_depth_v2", data_dir), SPLITS, split, seed)
    dataset = pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, 500, _decode)
    if augment and split == "train":
        return augmentation.augment(dataset, seed, depths=["depth"], normals=["normals"])
    return dataset


def inputs():
    """Return a fresh input, `[batch, 240, 320, 3]`."""
    return keras.Input((*SIZE, 3), name="image")


def encoder():
    """Return stages that suit the images: a U-Net of five sizes."""
    return unet(32, 64, 128, 256, 512)


def normals_from_depth(depth, focal, centre):
    """Return the normals of the surface that a depth map shows, by central differences.

    Args:
        depth: Float32 tensor `[height, width]` of distances along the optical axis; NaN where unknown.
        focal: Focal lengths in pixels, x and y.
        centre: Pixel that the optical axis meets, x and y.

    Returns:
        Float32 tensor `[height, width, 3]` of unit vectors toward the camera: x to the right, y down, z away
        from the camera. NaN at the border and next to unknown depths.

    Example:

    >>> wall = tf.fill((4, 4), 2.0)
    >>> normals_from_depth(wall, (100.0, 100.0), (1.5, 1.5))[1, 1].numpy() + 0.0
    array([ 0.,  0., -1.], dtype=float32)
    """
    height, width = depth.shape
    x = (tf.range(width, dtype=tf.float32) - centre[0]) / focal[0]
    y = (tf.range(height, dtype=tf.float32)[:, tf.newaxis] - centre[1]) / focal[1]
    points = tf.stack([x * depth, y * depth, depth], axis=-1)
    along_x = points[1:-1, 2:] - points[1:-1, :-2]
    along_y = points[2:, 1:-1] - points[:-2, 1:-1]
    normals = tf.math.l2_normalize(tf.linalg.cross(along_y, along_x), axis=-1)
    return tf.pad(normals, [[1, 1], [1, 1], [0, 0]], constant_values=float("nan"))


def _decode(features):
    image = tf.image.resize(features["image"], SIZE, antialias=True) / 255.0
    depth = tf.cast(features["depth"], tf.float32)[::2, ::2]
    depth = tf.where(depth > 0, depth, float("nan"))
    focal, centre = [length / 2 for length in FOCAL], [position / 2 for position in CENTRE]
    return {
        "image": tf.clip_by_value(image, 0.0, 1.0),
        "depth": depth[..., tf.newaxis],
        "normals": normals_from_depth(depth, focal, centre),
    }


def _transform(features):
    return features["image"], pipeline.pick(features, TASKS)
