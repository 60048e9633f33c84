"""Numbers for pairs of tasks as colours, and the tree of what joins first."""

import numpy as np

from mtl_zoo.plots._parts import draw_pairs, more_room, name_rows, new_figure


def task_matrix(values, names, merges=None, title=None):
    """Draw a number for every ordered pair of tasks; beside it a dendrogram.

    Args:
        values: Array `[tasks, tasks]`; row i, column j is what task i does to task j. NaN stays blank. The
            colours span the numbers beside the diagonal.
        names: Names of the tasks.
        merges: List as `relations.linkage.average_linkage` returns it. Defaults to `None`: no dendrogram.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> values = np.array([[0.9, 0.02], [-0.01, 0.8]])
    >>> figure = task_matrix(values, ["click", "price"], [(0, 1, 0.005)])
    >>> [axes.get_title() for axes in figure.axes]
    ['row onto column', 'what joins first']
    """
    side = max(2.4, 0.6 * len(names))
    figure = new_figure(2.0 * (side + more_room(names)) + 3.0, side + 1.2 + more_room(names))
    matrix, *rest = np.atleast_1d(figure.subplots(1, 1 if merges is None else 2))
    _draw_matrix(matrix, np.asarray(values, "float64"), names)
    for axes in rest:
        _draw_tree(axes, names, merges)
    figure.suptitle(title)
    return figure


def _draw_matrix(axes, values, names):
    beside = values[~np.eye(len(values), dtype=bool)]
    limit = np.max(np.abs(beside[np.isfinite(beside)]), initial=0.0) or 1.0
    draw_pairs(axes, "row onto column", values, names, limit, "{:.2g}")


def _draw_tree(axes, names, merges):
    """Draw merges from left, the most similar, to right."""
    order = _leaves(len(names), merges)
    heights = [height for *_, height in merges] or [0.0]
    start = max(heights) + 0.1 * (max(heights) - min(heights) or 1.0)
    nodes = {leaf: (start, place) for place, leaf in enumerate(order)}
    for index, (one, other, height) in enumerate(merges, start=len(names)):
        (left, low), (right, high) = nodes[one], nodes[other]
        axes.plot([left, height, height, right], [low, low, high, high], color="tab:blue")
        nodes[index] = (height, (low + high) / 2)
    name_rows(axes, [names[leaf] for leaf in order])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.invert_xaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(title="what joins first", xlabel="mean of both directions")


def _leaves(number, merges):
    """Return the tasks in an order in which no lines of the tree cross."""
    clusters = {index: [index] for index in range(number)}
    for index, (one, other, _) in enumerate(merges, start=number):
        clusters[index] = clusters.pop(one) + clusters.pop(other)
    return next(iter(clusters.values()))
