"""Whether tasks agree: cosines and lengths of their gradients, and how many labels they have."""

import numpy as np

from mtl_zoo.plots._parts import draw_cosines, more_room, new_figure


def task_gradients(cosines, norms, labelled, names, title=None):
    """Draw the cosines of tasks' gradients as a matrix; beside it their lengths, and parts of labels.

    Args:
        cosines: Array `[tasks, tasks]`, NaN where two tasks share nothing, and on the diagonal.
        norms: Array `[tasks]`, on a logarithmic scale; NaN where a task shares nothing.
        labelled: Array `[tasks]`, the part of the labels that is there, from 0 to 1.
        names: Names of the tasks.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> cosines = np.array([[np.nan, -0.3], [-0.3, np.nan]])
    >>> figure = task_gradients(cosines, [0.5, 2.0], [1.0, 0.25], ["click", "price"])
    >>> [axes.get_title() for axes in figure.axes]
    ['Cosine of the gradients', 'Length of the gradient', 'Labels that are there']
    """
    side = max(1.6, 0.45 * len(names))
    figure = new_figure(2.0 * side + 4.5 + more_room(names), side + 1.2 + more_room(names))
    matrix, lengths, labels = figure.subplots(1, 3, width_ratios=[side, 2.0, 2.0])
    draw_cosines(matrix, "Cosine of the gradients", np.asarray(cosines, "float64"), names)
    _draw_bars(lengths, "Length of the gradient", norms, "{:.2g}")
    lengths.set_xscale("log")
    _draw_bars(labels, "Labels that are there", labelled, "{:.0%}")
    labels.set_xlim(0.0, 1.0)
    for axes in (lengths, labels):
        axes.set_ylim(matrix.get_ylim())
    figure.suptitle(title)
    return figure


def _draw_bars(axes, title, values, form):
    """Draw one bar per task, in the places of the rows of the matrix."""
    values = np.asarray(values, "float64")
    axes.barh(range(len(values)), values, color="lightsteelblue", height=0.6)
    for place, value in enumerate(values):
        text = "" if np.isnan(value) else form.format(value)
        axes.annotate(text, (0.03, place), xycoords=("axes fraction", "data"), va="center", fontsize="small")
    axes.set_title(title, fontsize="medium")
    axes.set_yticks(range(len(values)), [""] * len(values))
    axes.spines[["top", "right"]].set_visible(False)
