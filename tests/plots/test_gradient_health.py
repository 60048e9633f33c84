import numpy as np
import pytest

from mtl_zoo import plots
from mtl_zoo.task import Task


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
