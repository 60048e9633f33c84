import dataclasses

import matplotlib
import numpy as np
import pytest

from mtl_zoo import plots
from mtl_zoo.task import Task

DENSE = (
    Task.segmentation("part", 3, size=(1, 2)),
    Task.dense_regression("depth", 1),
    Task.dense_regression("normals", 3),
)
TRUTH = {
    "part": np.array([[[2, -1]], [[0, 1]]]),
    "depth": np.array([[[[1.0], [np.nan]]], [[[2.0], [3.0]]]]),
    "normals": np.array([[[[0, 0, -1.0], [np.nan] * 3]], [[[1.0, 0, 0], [0, -1.0, 0]]]]),
}
PREDICTION = {
    "part": np.array([[[[0, 1.0, 5.0], [3.0, 1.0, 0]]], [[[0, 2.0, 1.0], [0, 2.0, 1.0]]]]),
    "depth": np.array([[[[0.5], [1.0]]], [[[2.0], [4.0]]]]),
    "normals": np.array([[[[0, 0, -2.0], [0, 0, 0]]], [[[-3.0, 0, 0], [0, 0, 1.0]]]]),
}


@pytest.fixture
def dense_rows():
    """The panels of both examples by their titles."""
    tasks = [Task.classification("kind", 3), *DENSE]
    axes = plots.dense(np.full((2, 1, 2, 3), 0.25), tasks, TRUTH, PREDICTION, title="Scenes").axes
    titles = [panel.get_title() for panel in axes[:7]]
    assert [panel.get_title() for panel in axes[7:]] == [""] * 7
    return [dict(zip(titles, axes[start : start + 7], strict=True)) for start in (0, 7)]


def drawn(rows, title):
    """Return the values of a column, missing ones as NaN."""
    return np.stack([np.ma.filled(row[title].images[0].get_array().astype(float), np.nan) for row in rows])


def test_dense_shows_the_image_and_every_dense_task_beside_its_truth(dense_rows):
    names = [f"{name}, {side}" for name in ("part", "depth", "normals") for side in ("truth", "prediction")]
    assert list(dense_rows[0]) == ["image", *names]
    np.testing.assert_array_equal(drawn(dense_rows, "image"), np.full((2, 1, 2, 3), 0.25))


def test_dense_shows_the_likeliest_class(dense_rows):
    np.testing.assert_array_equal(drawn(dense_rows, "part, truth"), [[[2, np.nan]], [[0, 1]]])
    np.testing.assert_array_equal(drawn(dense_rows, "part, prediction"), [[[2, 0]], [[1, 1]]])
    images = [dense_rows[0][f"part, {side}"].images[0] for side in ("truth", "prediction")]
    for image in images:  # the colour of a class is that of matplotlib
        np.testing.assert_allclose(image.to_rgba([0, 1, 2])[:, :3], matplotlib.colormaps["tab10"].colors[:3])


def test_dense_numbers_have_one_scale(dense_rows):
    np.testing.assert_array_equal(drawn(dense_rows, "depth, truth"), [[[1, np.nan]], [[2, 3]]])
    np.testing.assert_array_equal(drawn(dense_rows, "depth, prediction"), [[[0.5, 1]], [[2, 4]]])
    for row in dense_rows:
        for side in ("truth", "prediction"):
            image = row[f"depth, {side}"].images[0]
            assert (image.get_clim(), image.get_cmap().name) == ((0.5, 4), "viridis")


def test_dense_vectors_are_colours(dense_rows):
    gray, white = [0.5] * 3, [1.0] * 3
    left, right, up = [1, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 1, 0.5]
    near, far = [0.5, 0.5, 1], [0.5, 0.5, 0]
    np.testing.assert_allclose(drawn(dense_rows, "normals, truth"), [[[near, white]], [[right, up]]])
    np.testing.assert_allclose(drawn(dense_rows, "normals, prediction"), [[[near, gray]], [[left, far]]])


def test_dense_takes_gray_images_labels_with_an_axis_more_or_less_and_many_classes(tmp_path):
    tasks = (Task.segmentation("part", 40), Task.dense_regression("depth", 1))
    truth = {"part": np.arange(4).reshape((1, 2, 2, 1)), "depth": np.arange(4.0).reshape((1, 2, 2))}
    prediction = {"part": np.eye(40)[truth["part"][..., 0]], "depth": truth["depth"][..., np.newaxis]}
    figure = plots.dense(np.zeros((1, 2, 2, 1)), tasks, truth, prediction)
    for first in (1, 3):
        images = [axes.images[0] for axes in figure.axes[first : first + 2]]
        np.testing.assert_array_equal(images[0].get_array(), [[0, 1], [2, 3]])
        np.testing.assert_array_equal(images[1].get_array(), [[0, 1], [2, 3]])
    colors = figure.axes[1].images[0].to_rgba(np.arange(40))
    assert len(np.unique(colors, axis=0)) == 40
    figure.savefig(tmp_path / "dense.png")
    assert (tmp_path / "dense.png").read_bytes().startswith(b"\x89PNG")


def test_dense_needs_tasks_that_it_can_draw():
    with pytest.raises(ValueError, match=r"an output per pixel. Received: none"):
        plots.dense(np.zeros((1, 2, 2, 3)), [Task.binary("cat")], {}, {})
    flow = np.zeros((1, 2, 2, 2))
    with pytest.raises(ValueError, match=r"Task 'flow' must have 1 or 3 numbers per pixel. Received: 2"):
        plots.dense(
            np.zeros((1, 2, 2, 3)), [Task.dense_regression("flow", 2)], {"flow": flow}, {"flow": flow}
        )


def test_dense_leaves_blank_what_is_outside_the_space_of_a_task():
    tasks = [Task.binary("lit"), dataclasses.replace(DENSE[1], where="lit")]
    axes = plots.dense(np.zeros((2, 1, 2, 3)), tasks, TRUTH | {"lit": np.array([0, 1])}, PREDICTION).axes
    titles = [panel.get_title() for panel in axes[:3]]
    rows = [dict(zip(titles, axes[start : start + 3], strict=True)) for start in (0, 3)]
    np.testing.assert_array_equal(drawn(rows, "depth, truth"), [[[np.nan] * 2], [[2, 3]]])
    assert rows[0]["depth, truth"].images[0].get_clim() == (0.5, 4)  # of what is drawn
