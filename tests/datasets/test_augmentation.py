import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.datasets import augment
from mtl_zoo.datasets.nyu_depth_v2 import normals_from_depth

ROWS, COLUMNS = np.mgrid[:8, :10]
NORMALS = np.stack([COLUMNS, ROWS, -ROWS - 1.0], axis=-1).astype("float32")
NORMALS /= np.linalg.norm(NORMALS, axis=-1, keepdims=True)
POSITIONS = np.stack([ROWS, COLUMNS], axis=-1).astype("float32")


def batches(number=64, epochs=1, **options):
    """Return augmented images whose channels are their rows and columns, with all kinds of maps of these."""
    maps = {
        "mask": np.tile((10 * ROWS + COLUMNS).astype("uint8"), (number, 1, 1)),
        "depth": np.tile(1 + POSITIONS[..., :1], (number, 1, 1, 1)),
        "normals": np.tile(NORMALS, (number, 1, 1, 1)),
        "kind": np.arange(number),
    }
    images = np.tile(POSITIONS, (number, 1, 1, 1))
    dataset = tf.data.Dataset.from_tensor_slices((images, maps)).batch(number)
    options = {"masks": ["mask"], "depths": ["depth"], "normals": ["normals"], **options}
    dataset = augment(dataset, **options)
    found = [next(dataset.as_numpy_iterator()) for _ in range(epochs)]
    return found if epochs > 1 else found[0]


def test_flip():
    images, labels = batches(zoom=1.0)
    flipped = images[:, 0, 0, 1] > 0
    assert 0.25 < flipped.mean() < 0.75
    for image, mask, normals, flip in zip(images, labels["mask"], labels["normals"], flipped, strict=True):
        step, sign = (-1, -1) if flip else (1, 1)
        np.testing.assert_allclose(image, POSITIONS[:, ::step], atol=1e-6)
        np.testing.assert_array_equal(mask, (10 * ROWS + COLUMNS)[:, ::step])
        np.testing.assert_allclose(normals, NORMALS[:, ::step] * [sign, 1, 1], atol=1e-6)


def test_zoom_moves_all_maps_alike():
    images, labels = batches(zoom=2.0)
    nearest = np.rint(10 * np.rint(images[..., 0]) + np.rint(images[..., 1]))
    assert np.mean(labels["mask"] == nearest) > 0.99  # but where a position is halfway
    height = images[:, -1, 0, 0] - images[:, 0, 0, 0]
    factors = 7 / height
    assert factors.min() >= 1
    assert factors.min() < 1.2
    assert 1.8 < factors.max() <= 2.0001
    distances = labels["depth"][..., 0] * factors[:, np.newaxis, np.newaxis]
    assert np.abs(distances - 1 - images[..., 0]).max() < 0.51
    assert images.min() >= 0
    assert images[..., 0].max() <= 7
    assert images[..., 1].max() <= 9


def test_other_labels_stay():
    np.testing.assert_array_equal(batches()[1]["kind"], np.arange(64))
    assert {name: x.dtype for name, x in batches()[1].items()}["mask"] == np.uint8


def test_missing_labels_do_not_spread():
    depth = np.ones((32, 8, 10, 1), "float32")
    depth[:, 3:5, 4:6] = np.nan
    dataset = tf.data.Dataset.from_tensors((np.zeros((32, 8, 10, 1), "float32"), {"depth": depth}))
    _, labels = next(augment(dataset, zoom=1.3, depths=["depth"]).as_numpy_iterator())
    missing = np.isnan(labels["depth"]).sum(axis=(1, 2, 3))
    assert missing.min() >= 4
    assert missing.max() <= 9
    assert np.nanmin(labels["depth"]) > 1 / 1.3001


def test_a_flipped_scene_has_the_normals_of_its_flipped_depth():
    """The normals computed from the flipped depth of a slanted, curved surface are the flipped normals."""
    depth = (3.0 + 0.02 * COLUMNS + 0.01 * ROWS**1.5).astype("float32")
    focal, centre = (20.0, 20.0), (4.5, 3.5)
    normals = normals_from_depth(tf.constant(depth), focal, centre)
    labels = {"depth": depth[np.newaxis, ..., np.newaxis], "normals": normals[np.newaxis]}
    dataset = tf.data.Dataset.from_tensors((np.zeros((1, 8, 10, 1), "float32"), labels)).repeat(20)
    for _, found in augment(dataset, zoom=1.0, depths=["depth"], normals=["normals"]):
        expected = normals_from_depth(found["depth"][0, ..., 0], focal, centre)
        np.testing.assert_allclose(found["normals"][0], expected, atol=1e-6)


def test_a_scene_that_is_zoomed_into_has_the_normals_of_its_new_depth():
    """A plane that is seen twice as large at half the distance, by the same camera."""
    rows, columns = np.mgrid[:40, :40].astype("float32")
    focal, centre = (50.0, 50.0), (19.5, 19.5)
    depth = 6 / (1 + 0.4 * (columns - 19.5) / 50 - 0.2 * (rows - 19.5) / 50)
    maps = {
        "depth": depth[None, ..., None],
        "normals": normals_from_depth(tf.constant(depth), focal, centre)[None],
    }
    images = np.stack([columns, rows], axis=-1)[None]
    dataset = tf.data.Dataset.from_tensors((images, maps)).repeat(60)
    tilts = []
    for image, found in augment(dataset, flip=False, zoom=2.0, depths=["depth"], normals=["normals"]):
        middle = image[0].numpy().mean(axis=(0, 1)) - 19.5
        if np.abs(middle).max() < 1.5:  # shear does not count
            expected = normals_from_depth(found["depth"][0, ..., 0], focal, centre)[10:30, 10:30]
            given = found["normals"][0, 10:30, 10:30]
            tilts.append(np.nanmean(np.sum(given * expected, axis=-1)))
    assert len(tilts) > 2
    assert np.degrees(np.arccos(min(tilts))) < 8  # the nearest pixel makes steps in the depth


def test_draws_follow_from_the_seed_and_change_with_the_epoch():
    first, second = batches(seed=1, epochs=2)
    assert not np.array_equal(first[0], second[0])
    again, other = batches(seed=1), batches(seed=2)
    np.testing.assert_array_equal(again[0], first[0])
    assert not np.array_equal(other[0], first[0])


def test_number_of_batches_stays_known():
    dataset = tf.data.Dataset.from_tensors((np.zeros((1, 8, 10, 1), "float32"), {})).repeat(7)
    assert augment(dataset).cardinality() == 7


def test_mistakes():
    with pytest.raises(ValueError, match=r"at least 1. Received: zoom=0.5"):
        batches(zoom=0.5)
    with pytest.raises(ValueError, match=r"among the labels .*'kind'.*Received: \['part'\]"):
        batches(masks=["part"])
