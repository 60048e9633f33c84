"""Pictures of a run."""

import math

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

MAX_COLUMNS = 3
PANEL_SIZE = (4.4, 3.2)
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
    colors = _colors(tasks)
    panels = _panels(history, tasks)
    rows = math.ceil(len(panels) / MAX_COLUMNS)
    columns = math.ceil(len(panels) / rows)
    figure = Figure((PANEL_SIZE[0] * columns, PANEL_SIZE[1] * rows + 0.8), layout="constrained")
    for index, (name, keys) in enumerate(panels.items(), start=1):
        _draw(figure.add_subplot(rows, columns, index), name, keys, history, colors)
    figure.suptitle(title)
    figure.legend(handles=_handles(colors), loc="outside lower center", ncols=2 * columns, frameon=False)
    return figure


def _panels(history, tasks):
    """Return which curves to draw: `{panel: {task name: key of history}}`."""
    panels = {"loss": {}}
    for task in tasks:
        panels["loss"][task.name] = f"{task.name}_loss"
        for metric in task.metrics[:1]:
            name = metric().name
            panels.setdefault(name, {})[task.name] = f"{task.name}_{name}"
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
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _colors(tasks):
    """Return a colour per task name; neighbours differ also where tasks are many."""
    few = matplotlib.colormaps["tab10"].colors
    many = matplotlib.colormaps["turbo"].resampled(len(tasks)).colors
    colors = few if len(tasks) <= len(few) else many
    return {task.name: color for task, color in zip(tasks, colors, strict=False)}


def _handles(colors):
    tasks = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
    return tasks + [Line2D([], [], color="gray", linestyle=line, label=n) for n, (_, line) in STYLES.items()]


def heat_maps(arrays, title=None):
    """Draw vectors or matrices side by side, with their values.

    Args:
        arrays: Dict from names to arrays: a gate's load `[experts]`, as `introspection.expert_load` returns,
            a mixing matrix `[outputs, inputs]`, as `introspection.mixing` returns, or any other.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> figure = heat_maps({"click_gate": np.array([0.2, 0.8])}, title="Load of the experts")
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['0.20', '0.80']
    """
    columns = min(len(arrays), MAX_COLUMNS)
    rows = math.ceil(len(arrays) / columns)
    arrays = {name: np.atleast_2d(array) for name, array in arrays.items()}
    height = max(1.2, *(0.4 * len(array) + 0.8 for array in arrays.values()))
    figure = Figure((PANEL_SIZE[0] * columns, height * rows + 0.5), layout="constrained")
    for index, (name, array) in enumerate(arrays.items(), start=1):
        _draw_array(figure.add_subplot(rows, columns, index), name, array)
    figure.suptitle(title)
    return figure


def _draw_array(axes, name, array):
    limit = max(1.0, np.abs(array).max())
    axes.imshow(array, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(array):
        color = "white" if abs(value) > 0.6 * limit else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    axes.set(title=name, xticks=range(array.shape[1]), yticks=range(array.shape[0]))


def tree(choices, tasks, title=None):
    """Draw the tree that a branching model has learned, stage by stage from left to right.

    Nodes on no task's path are pale.

    Args:
        choices: Dict as `branches.tree` returns it.
        tasks: Sequence of `Task`.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> choices = {"branch_1": np.array([0, 0]), "branch_2": np.array([0, 1])}
    >>> figure = tree(choices, [mz.Task.binary("a"), mz.Task.binary("b")])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['a', 'b']
    """
    levels = [np.asarray(parents) for parents in choices.values()]
    used = _used_nodes(levels)
    figure = Figure((1.6 * len(levels) + 2.0, 0.6 * max(map(len, levels)) + 1.0), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="stage", xticks=range(1, len(levels) + 1), yticks=[])
    for stage, (parents, nodes) in enumerate(zip(levels, used, strict=True), start=1):
        for node in range(len(levels[0]) if stage == 1 else len(levels[stage - 2])):
            axes.scatter(stage, node + 1, s=120, color="tab:blue" if node in nodes else "lightgray", zorder=2)
        children = range(len(parents)) if stage == len(levels) else used[stage]
        for child in children:
            axes.plot([stage, stage + 1], [parents[child] + 1, child + 1], color="tab:blue", zorder=1)
    for position, task in enumerate(tasks, start=1):
        axes.text(len(levels) + 1.1, position, task.name, va="center")
    axes.set_xlim(0.5, len(levels) + 2)
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()
    return figure


def _used_nodes(levels):
    """Return the set of nodes on a task's path, stage by stage."""
    nodes, used = range(len(levels[-1])), []
    for parents in reversed(levels):
        nodes = {int(parents[node]) for node in nodes}
        used.insert(0, nodes)
    return used
