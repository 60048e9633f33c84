import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.datasets import nyu_depth_v2
from mtl_zoo.datasets.nyu_depth_v2 import CENTRE, FOCAL, normals_from_depth
from tests.datasets.harness import assert_in_unit_interval, check_dataset, examples, mock, only_batch


def test_contract(no_network, tmp_path, capsys):
    with mock(2):
        check_dataset(nyu_depth_v2, tmp_path, capsys, batch_size=1)


def test_a_wall_and_what_was_not_measured():
    depth = np.full((1, 480, 640), 3.0, "float16")
    depth[0, 100, 100] = 0
    features = {"image": np.full((1, 480, 640, 3), 255, "uint8"), "depth": depth}
    with mock(as_dataset_fn=examples(features)):
        x, labels = only_batch(nyu_depth_v2, "test", batch_size=1)
    assert_in_unit_interval(x)
    assert x.shape == (1, 240, 320, 3)
    depth, normals = labels["depth"][0, ..., 0], labels["normals"][0]
    assert np.argwhere(np.isnan(depth)).tolist() == [[50, 50]]
    assert np.nanmax(np.abs(depth - 3)) == 0
    np.testing.assert_allclose(normals[200, 200], [0, 0, -1], atol=1e-6)
    unknown = {(row, column) for row, column in np.argwhere(np.isnan(normals[1:-1, 1:-1, 0])) + 1}
    assert unknown == {(49, 50), (51, 50), (50, 49), (50, 51)} | {(50, 50)} & unknown


@pytest.mark.parametrize("normal", [(0.0, -0.8, -0.6), (0.6, 0.0, -0.8), (-0.36, 0.48, -0.8)])
def test_normals_of_a_plane(normal):
    rows, columns = np.mgrid[:60, :80]
    focal, centre = (100.0, 90.0), (40.0, 30.0)
    rays = np.stack([(columns - centre[0]) / focal[0], (rows - centre[1]) / focal[1], np.ones((60, 80))], -1)
    depth = -2.0 / (rays @ normal)
    found = normals_from_depth(tf.constant(depth, tf.float32), focal, centre).numpy()
    np.testing.assert_allclose(found[1:-1, 1:-1], np.broadcast_to(normal, (58, 78, 3)), atol=1e-3)
    assert np.isnan(found[0]).all()


def test_constants_are_those_of_the_camera():
    assert pytest.approx((518.86, 519.47), abs=0.01) == FOCAL
    assert pytest.approx((325.58, 253.74), abs=0.01) == CENTRE
