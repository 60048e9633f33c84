"""Methods by two metrics, and which of them no other one beats."""

from mtl_zoo.plots._parts import new_figure, room, short


def trade_off(points, front, names, signs, title=None):
    """Draw each method as a number at its two metrics, and mark the Pareto front.

    Args:
        points: Dictionary from names of methods to pairs of numbers.
        front: Names of the methods on the front.
        names: Pair of the metrics' names.
        signs: Pair of 1, if more of a metric is better, or -1.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> points = {"equal": (0.9, 2.0), "famo": (0.8, 1.0), "dwa": (0.7, 1.5)}
    >>> figure = trade_off(points, ["equal", "famo"], ("accuracy", "error"), (1, -1))
    >>> figure.axes[0].get_xlabel(), len(figure.axes[0].texts)
    ('accuracy (more is better)', 3)
    """
    figure = new_figure(6.5 + room(points), max(5.0, 0.2 * len(points) + 1.0))
    axes = figure.add_subplot()
    for number, (name, point) in enumerate(points.items(), start=1):
        style = {"marker": "o", "color": "tab:blue"} if name in front else {"marker": "x", "color": "gray"}
        axes.plot(*point, linestyle="none", label=f"{number}  {short(name)}", **style)
        axes.annotate(str(number), point, xytext=(5, 5), textcoords="offset points", fontsize="small")
    best = sorted(points[name] for name in front)
    if best:
        axes.plot(*zip(*best, strict=True), "--", color="tab:blue", label="Pareto front")
    titles = [_title(name, sign) for name, sign in zip(names, signs, strict=True)]
    axes.set(xlabel=titles[0], ylabel=titles[1], title=title)
    axes.grid(alpha=0.3)
    axes.margins(0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure


def _title(name, sign):
    return f"{short(name).replace('_', ' ')} ({'more' if sign > 0 else 'less'} is better)"
