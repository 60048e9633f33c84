"""Relative improvement of methods over single-task models, with intervals."""

from mtl_zoo.plots._parts import name_rows, new_figure, room


def delta_m(intervals, title=None):
    """Draw the mean relative improvement of each method as a point, with its interval as a line.

    Args:
        intervals: Dictionary from names of methods to triples of a mean in percent and the bounds below and
            above it, which are `None` where there is one seed; as `evaluation.interval` returns them. The
            first is on top.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> figure = delta_m({"mmoe, equal": (1.0, 0.5, 1.5), "mmoe, pcgrad": (2.0, None, None)})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['mmoe, equal', 'mmoe, pcgrad']
    """
    figure = new_figure(5.0 + room(intervals), 0.35 * len(intervals) + 1.2)
    axes = figure.add_subplot()
    axes.axvline(0, color="gray", linewidth=1)
    for row, (mean, low, high) in enumerate(intervals.values()):
        axes.plot(mean, row, "o", color="tab:blue")
        if low is not None:
            axes.plot([low, high], [row, row], "-", color="tab:blue")
    name_rows(axes, list(intervals))
    axes.set_ylim(len(intervals) - 0.5, -0.5)
    axes.set_xlabel("δm: improvement over single-task models in %")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title)
    return figure
