"""Pictures of a run."""

import itertools
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


def dense(image, tasks, truth, prediction, title=None):
    """Draw images, and beside each one the true and the predicted maps of the tasks.

    Classes have the colours of `matplotlib`'s `tab10` (`turbo` where there are more than ten). One number per
    pixel has one scale for all maps of the task. Vectors are drawn at length one, -x as red, -y as green and
    -z as blue: in camera coordinates with y down, what faces left is red, up green, the camera blue. Missing
    labels are blank. Tasks without an output per pixel are left out.

    Args:
        image: Array `[examples, height, width, channels]` with 1 or 3 channels in `[0, 1]`.
        tasks: Sequence of `Task`.
        truth: Dict of arrays of labels `[examples, *label_shape]` by `task.label_name`.
        prediction: Dict of arrays of logits or predictions `[examples, *output_shape]` by the task's name.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`, with one row per example.

    Raises:
        ValueError: If no task has an output per pixel, or one has vectors that are not of 1 or 3 numbers.

    Example:

    >>> task = mz.Task.dense_regression("depth", 1)
    >>> depth = {"depth": np.ones((2, 4, 4, 1))}
    >>> figure = dense(np.zeros((2, 4, 4, 3)), [task], depth, depth)
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['image', 'depth, truth', 'depth, prediction']
    """
    tasks = [task for task in tasks if len(task.output_shape) == 3]
    if not tasks:
        raise ValueError("At least one task must have an output per pixel. Received: none")
    columns = {"image": (np.asarray(image).clip(0, 1), {"cmap": "gray", "vmin": 0, "vmax": 1})}
    for task in tasks:
        maps = _maps(task, np.asarray(truth[task.label_name]), np.asarray(prediction[task.name]))
        columns |= {f"{task.name}, {side}": (x, _scale(task, maps)) for side, x in maps.items()}
    figure = Figure((1.7 * len(columns), 1.7 * len(image) + 0.5), layout="constrained")
    for index, (row, name) in enumerate(itertools.product(range(len(image)), columns), start=1):
        axes = figure.add_subplot(len(image), len(columns), index, xticks=[], yticks=[])
        axes.set_title(name if row == 0 else "", fontsize="small")
        x, scale = columns[name]
        axes.imshow(x[row], interpolation="nearest", **scale)
    figure.suptitle(title)
    return figure


def _maps(task, truth, prediction):
    """Return what to draw of a task: `[examples, height, width]`, NaN where missing, or colours."""
    if task.labels_are_indices:
        truth = truth.reshape(prediction.shape[:-1])
        return {"truth": np.where(truth >= 0, truth, np.nan), "prediction": prediction.argmax(axis=-1)}
    maps = {"truth": truth.reshape(prediction.shape), "prediction": prediction}
    channels = task.output_shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Task '{task.name}' must have 1 or 3 numbers per pixel. Received: {channels}")
    return {side: x[..., 0] if channels == 1 else _vector_colors(x) for side, x in maps.items()}


def _vector_colors(vectors):
    """Return the colours of directions; white where unknown."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.nan_to_num((1 - vectors / np.maximum(length, 1e-12)) / 2, nan=1.0)


def _scale(task, maps):
    """Return arguments of `imshow` under which equal values of a task have equal colours."""
    if task.labels_are_indices:
        classes = task.output_shape[-1]
        colors = matplotlib.colormaps["tab10" if classes <= 10 else "turbo"].resampled(max(classes, 10))
        return {"cmap": colors, "vmin": -0.5, "vmax": colors.N - 0.5}
    values = np.concatenate([x.ravel() for x in maps.values()])
    return {"cmap": "viridis", "vmin": np.nanmin(values), "vmax": np.nanmax(values)}
