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
