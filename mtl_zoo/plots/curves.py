"""Curves over the epochs: losses, main metrics and task weights."""

import math

from mtl_zoo.plots._parts import MAX_COLUMNS, PANEL_SIZE, new_figure, room, short, task_colors, tick_integers

STYLES = {"training": ("", "-"), "validation": ("val_", "--")}


def curves(history, tasks, title=None):
    """Draw losses, main metrics and task weights over the epochs.

    A task's main metric is its first; tasks with the same one share a panel. Training is solid, validation
    dashed, and a task has one colour throughout.

    Args:
        history: Dictionary from the names in the logs to a list of one number per epoch, as
            `keras.callbacks.History.history`.
        tasks: Sequence of `Task`.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`; its `savefig` writes it.

    Example:

    >>> history = {"left_loss": [2.0, 1.0], "val_left_loss": [2.1, 1.5], "left_weight": [1.0, 1.0]}
    >>> figure = curves(history, [mz.Task.classification("left", 10)])
    >>> [axes.get_title() for axes in figure.axes]
    ['Loss', 'Weight']
    """
    colors = task_colors(tasks)
    panels = _panels(history, tasks)
    rows = math.ceil(len(panels) / MAX_COLUMNS)
    columns = math.ceil(len(panels) / rows)
    width, handles = PANEL_SIZE[0] * columns, _handles(colors)
    beside = min(2 * columns, int(width / (room(colors) + 0.6)))
    figure = new_figure(width, PANEL_SIZE[1] * rows + 0.5 + 0.22 * math.ceil(len(handles) / beside))
    for index, (name, keys) in enumerate(panels.items(), start=1):
        _draw(figure.add_subplot(rows, columns, index), name, keys, history, colors)
    figure.suptitle(title)
    figure.legend(handles=handles, loc="outside lower center", ncols=beside, frameon=False)
    return figure


def _panels(history, tasks):
    """Return which curves to draw: `{panel: {task name: key of history}}`."""
    panels = {"loss": {}}
    for task in tasks:
        panels["loss"][task.name] = f"{task.name}_loss"
        for metric in task.make_metrics()[:1]:
            panels.setdefault(metric.name, {})[task.name] = f"{task.name}_{metric.name}"
    panels["weight"] = {task.name: f"{task.name}_weight" for task in tasks}
    return {name: keys for name, keys in panels.items() if history.keys() & set(keys.values())}


def _draw(axes, name, keys, history, colors):
    for prefix, line in STYLES.values():
        for task, key in keys.items():
            if values := history.get(prefix + key):
                marker = "o" if len(values) == 1 else None
                axes.plot(range(1, len(values) + 1), values, line, marker=marker, color=colors[task])
    if name == "weight":
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_title(name.replace("_", " ").capitalize())
    axes.set_xlabel("epoch")
    tick_integers(axes.xaxis)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _handles(colors):
    from matplotlib.lines import Line2D

    tasks = [Line2D([], [], color=color, label=short(name)) for name, color in colors.items()]
    return tasks + [Line2D([], [], color="gray", linestyle=line, label=n) for n, (_, line) in STYLES.items()]
