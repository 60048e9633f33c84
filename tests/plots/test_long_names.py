"""Names of any length leave room for the rest, and are seen: a layout that fails warns, which is an error."""

import inspect
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

import mtl_zoo as mz
from mtl_zoo import plots
from mtl_zoo.plots._parts import LONGEST, short

METRICS = ("loss", "weight", "binary_accuracy")


def curves(names):
    history = {f"{name}_{metric}": [1.0, 0.5] for name in names for metric in METRICS}
    return plots.curves(history, [mz.Task.binary(name) for name in names])


def gradient_health(names):
    cosines, tasks = np.tile(np.eye(len(names)), (2, 1, 1)), [mz.Task.binary(name) for name in names]
    return plots.gradient_health(
        [1, 9], np.ones((2, 3, len(names))), np.ones((2, 3)), cosines, [*names, "a", "b"][:3], tasks
    )


def trade_off(names):
    return plots.trade_off({name: (i, -i) for i, name in enumerate(names)}, names[:2], names[:2], (1, -1))


def task_matrix(names):
    merges = [(0, 1, 0.5)] if len(names) == 2 else None
    return plots.task_matrix(np.eye(len(names)), names, merges)


def tree(names):
    choices = {"branch_1": np.zeros(len(names), int), "branch_2": np.arange(len(names))}
    return plots.tree(choices, [mz.Task.binary(name) for name in names])


def dense(names):
    maps = {name: np.ones((2, 4, 4, 1)) for name in names[:2]}
    tasks = [mz.Task.dense_regression(name, 1) for name in maps]
    return plots.dense(np.zeros((2, 4, 4, 3)), tasks, maps, maps)


PICTURES = {
    "curves": curves,
    "dense": dense,
    "delta_m": lambda names: plots.delta_m({name: (i, i - 1, i + 1) for i, name in enumerate(names)}),
    "gradient_health": gradient_health,
    "heat_maps": lambda names: plots.heat_maps({name: np.eye(3) for name in names}),
    "task_gradients": lambda names: plots.task_gradients(
        np.eye(len(names)), np.ones(len(names)), np.ones(len(names)), names
    ),
    "task_matrix": task_matrix,
    "trade_off": trade_off,
    "tree": tree,
}


def drawn(figure):
    """Return the texts of a picture and where they are, as parts of its sides."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    size = np.array(figure.bbox.size)
    for text in figure.findobj(lambda part: isinstance(part, Text) and part.get_visible()):
        yield text.get_text(), text.get_window_extent(canvas.get_renderer()).get_points() / size


def overlap(one, other):
    """Return whether two boxes overlap by more than two hundredths of a side."""
    return (np.minimum(one[1], other[1]) - np.maximum(one[0], other[0]) > 0.02).all()


@pytest.mark.parametrize("length", [30, 90])
@pytest.mark.parametrize("number", [2, 9])
@pytest.mark.parametrize("picture", PICTURES)
def test_names_are_within_the_picture(picture, number, length):
    names = [f"t{index}_{'cumulative_' * 9}"[:length] for index in range(number)]
    figure = PICTURES[picture](names)
    shown = [(text, places) for text, places in drawn(figure) if any(name[:8] in text for name in names)]
    assert len({text for text, _ in shown}) >= 2
    outside = [text for text, places in shown if places.min() < -0.01 or places.max() > 1.01]
    assert not outside
    assert not [pair for pair in itertools.combinations(shown, 2) if overlap(*(places for _, places in pair))]
    widths = [axes.get_position().width * figure.get_figwidth() for axes in figure.axes]
    assert max(widths) > 1.0, "inches for what the picture is about"


def test_every_picture_is_here():
    assert set(PICTURES) == {name for name, _ in inspect.getmembers(plots, inspect.isfunction)}


def test_a_long_name_keeps_its_beginning_and_end():
    name = "mmoe:num_experts=8,expert_units=[64,32], nashmtl, refresh_every=8"
    found = short(name)
    assert len(found) == LONGEST
    beginning, end = found.split("…")
    assert name.startswith(beginning)
    assert name.endswith(end)
    assert short(found) == found
