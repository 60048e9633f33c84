import matplotlib
import numpy as np
import pytest

from mtl_zoo import plots
from mtl_zoo.task import Task

TASKS = (Task.classification("left", 10), Task.classification("right", 10), Task.regression("size"))
HISTORY = {
    "loss": [4.0, 2.0],
    **{f"{prefix}{task.name}_loss": [2.0, 1.0] for prefix in ("", "val_") for task in TASKS},
    **{f"{prefix}{name}_accuracy": [0.5, 0.75] for prefix in ("", "val_") for name in ("left", "right")},
    "size_mean_absolute_error": [1.0, 0.5],
    "val_size_mean_absolute_error": [1.5, 1.0],
    **{f"{task.name}_weight": [1.0, 0.25] for task in TASKS},
}


@pytest.fixture
def panels():
    return {axes.get_title(): axes for axes in plots.curves(HISTORY, TASKS).axes}


def test_one_panel_per_kind_of_curve(panels):
    assert list(panels) == ["Loss", "Accuracy", "Mean absolute error", "Weight"]
    assert [len(axes.lines) for axes in panels.values()] == [6, 4, 2, 3]


def test_epochs_count_from_one(panels):
    for axes in panels.values():
        assert all(list(line.get_xdata()) == [1, 2] for line in axes.lines)


def test_training_is_solid_and_validation_dashed(panels):
    styles = {tuple(line.get_ydata()): line.get_linestyle() for line in panels["Mean absolute error"].lines}
    assert styles == {(1.0, 0.5): "-", (1.5, 1.0): "--"}


def test_a_task_has_one_colour(panels):
    loss, accuracy = ([line.get_color() for line in panels[name].lines] for name in ("Loss", "Accuracy"))
    assert len(set(loss)) == 3
    assert loss[:2] + loss[3:5] == accuracy
    assert loss[:3] == loss[3:]


def test_weights_are_seen_against_zero(panels):
    assert panels["Weight"].get_ylim()[0] == 0


def test_what_was_not_measured_is_a_gap():
    figure = plots.curves(HISTORY | {"val_left_loss": [np.nan, np.nan], "left_weight": [np.nan] * 2}, TASKS)
    figure.draw_without_rendering()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert panels["Weight"].get_ylim()[0] == 0
    assert np.isfinite(panels["Loss"].get_ylim()).all()


def test_legend_names_tasks_and_styles():
    figure = plots.curves(HISTORY, TASKS, title="A run")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["left", "right", "size", "training", "validation"]
    assert figure.get_suptitle() == "A run"


def test_many_tasks_have_different_colours():
    tasks = [Task.binary(f"task{index}") for index in range(40)]
    figure = plots.curves({f"{task.name}_loss": [1.0] for task in tasks}, tasks)
    assert len({tuple(line.get_color()) for line in figure.axes[0].lines}) == 40


def test_one_epoch_shows_as_a_point(tmp_path):
    figure = plots.curves({"size_loss": [1.0]}, TASKS[2:])
    (line,) = figure.axes[0].lines
    assert line.get_marker() == "o"
    figure.savefig(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_heat_maps_show_vectors_and_matrices():
    arrays = {"gate": np.array([0.25, 0.75]), "unit": np.array([[0.9, -0.1], [0.2, 1.5]])}
    figure = plots.heat_maps(arrays, title="Sharing")
    gate, unit = figure.axes
    assert (gate.get_title(), unit.get_title()) == ("gate", "unit")
    assert [text.get_text() for text in gate.texts] == ["0.25", "0.75"]
    assert [text.get_text() for text in unit.texts] == ["0.90", "-0.10", "0.20", "1.50"]
    assert unit.images[0].get_clim() == (-1.5, 1.5)
    assert figure.get_suptitle() == "Sharing"


def test_a_tree_shows_the_nodes_on_a_path_and_the_others():
    # Two nodes per stage: tasks a and b grow on node 1 of stage 2, which grows on node 2 of stage 1.
    choices = {"branch_1": np.array([1, 0]), "branch_2": np.array([0, 0])}
    (axes,) = plots.tree(choices, [Task.binary("a"), Task.binary("b")]).axes
    edges = {tuple(map(tuple, line.get_xydata())) for line in axes.lines if len(line.get_xdata()) == 2}
    assert edges == {((1, 2), (2, 1)), ((2, 1), (3, 1)), ((2, 1), (3, 2))}
    shown = {text.get_text() for text in axes.texts}
    assert {"a", "b"} <= shown


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
        plots.dense(np.zeros((1, 2, 2, 3)), TASKS, {}, {})
    flow = np.zeros((1, 2, 2, 2))
    with pytest.raises(ValueError, match=r"Task 'flow' must have 1 or 3 numbers per pixel. Received: 2"):
        plots.dense(
            np.zeros((1, 2, 2, 3)), [Task.dense_regression("flow", 2)], {"flow": flow}, {"flow": flow}
        )


def gradient_health(num_tasks, num_steps=2):
    """Return the panels of a picture whose numbers follow from their places."""
    layers, tasks = ["below", "above"], [Task.binary(f"task_{index}") for index in range(num_tasks)]
    norms = 10.0 ** -np.arange(num_steps * 2 * num_tasks).reshape(num_steps, 2, num_tasks)
    norms[:, 1, 0] = np.nan
    cosines = np.full((num_steps, num_tasks, num_tasks), 0.25)
    cosines[:, 0, 1:] = cosines[:, 1:, 0] = -0.5
    cosines[:, np.eye(num_tasks, dtype=bool)] = np.nan
    steps = [1 + 500 * index for index in range(num_steps)]
    figure = plots.gradient_health(steps, norms, np.full((num_steps, 2), 1e-3), cosines, layers, tasks)
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def test_gradient_health_shows_norms_and_what_is_not_reached():
    panels = gradient_health(2)
    first, last = panels["Gradient norm, step 1"], panels["Gradient norm, step 501"]
    assert [text.get_text() for text in first.texts] == ["1e0", "1e-1", "1e-3"]
    assert [text.get_text() for text in last.texts] == ["1e-4", "1e-5", "1e-7"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["below", "above"]
    assert [label.get_text() for label in first.get_xticklabels()] == ["task_0", "task_1"]
    for panel in (first, last):  # one scale, grey where there is none
        assert panel.images[0].get_clim() == pytest.approx((1e-7, 1.0))
        np.testing.assert_array_equal(panel.images[0].get_array().mask, [[False, False], [True, False]])
    assert panels["Update / weight"].images[0].get_array().shape == (2, 2)


def test_gradient_health_shows_zeros_and_infinities_at_the_ends_of_the_scale():
    norms = np.array([[[0.0], [0.01], [np.inf]]])
    tasks = [Task.binary("click")]
    figure = plots.gradient_health(
        [1], norms, np.zeros((1, 3)), np.full((1, 1, 1), np.nan), list("abc"), tasks
    )
    panel = figure.axes[0]
    assert [text.get_text() for text in panel.texts] == ["0", "1e-2", "inf"]
    np.testing.assert_allclose(panel.images[0].get_array(), [[0.01], [0.01], [0.1]])
    assert not [axes for axes in figure.axes if axes.get_title().startswith("Cosine")]


def test_gradient_health_shows_cosines_of_pairs_and_of_many_tasks_means():
    panels = gradient_health(3)
    lines = {
        line.get_label(): line.get_ydata() for line in panels["Cosine of the tasks' gradients"].lines[:3]
    }
    assert {name: list(values) for name, values in lines.items()} == {
        "task_0, task_1": [-0.5, -0.5],
        "task_0, task_2": [-0.5, -0.5],
        "task_1, task_2": [0.25, 0.25],
    }
    matrix = panels["Cosine, step 501"].images[0].get_array()
    np.testing.assert_array_equal(matrix, [[1.0, -0.5, -0.5], [-0.5, 1.0, 0.25], [-0.5, 0.25, 1.0]])
    assert "Cosine, step 1" not in panels
    panels = gradient_health(6)
    lines = panels["Cosine of the tasks' gradients\n(mean over the other tasks)"].lines[:6]
    assert [list(line.get_ydata()) for line in lines] == [[-0.5] * 2] + [pytest.approx([0.1] * 2)] * 5
    assert {"Cosine, step 1", "Cosine, step 501"} <= panels.keys()
