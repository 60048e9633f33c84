"""Pictures of a run."""

import itertools
import math

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

MAX_COLUMNS = 3
MAX_TASKS_IN_PAIRS = 4
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


def gradient_health(steps, norms, ratios, cosines, layers, tasks, title=None):
    """Draw how large the gradients of tasks are, how large the updates, and whether the tasks agree.

    Above: the norms by layer and task at the first and the last step, and the sizes of updates over time, on
    logarithmic scales; grey where a task does not reach a layer. Below, for two tasks and more: the cosines
    of their gradients over time, one line per pair, and at the last step; for more than four tasks one line
    per task, the mean over the others, and the cosines at the first and the last step.

    Args:
        steps: Sequence of steps.
        norms: Array `[steps, layers, tasks]`, NaN where a task does not reach a layer.
        ratios: Array `[steps, layers]`: norm of the update over norm of the weights.
        cosines: Array `[steps, tasks, tasks]`, NaN where two tasks share nothing, and on the diagonal.
        layers: Names of the layers in graph order.
        tasks: Sequence of `Task`.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`.

    Example:

    >>> norms, ratios, cosines = np.ones((2, 3, 1)), np.ones((2, 3)), np.ones((2, 1, 1))
    >>> tasks = [mz.Task.binary("click")]
    >>> figure = gradient_health([1, 9], norms, ratios, cosines, ["a", "b", "c"], tasks)
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['Gradient norm, step 1', 'Gradient norm, step 9', 'Update / weight']
    """
    names = [task.name for task in tasks]
    heights = [0.24 * len(layers) + 1.6, 2.2 + 0.25 * len(names)][: 1 + (len(names) > 1)]
    width = 2 * max(2.0, 0.42 * len(names)) + 0.075 * max(map(len, layers)) + 6.0
    figure = Figure((width, sum(heights) + 0.4), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_sizes(parts[0], steps, norms, ratios, layers, names)
    if len(names) > 1:
        _draw_cosines(parts[1], steps, cosines, tasks)
    figure.suptitle(title)
    return figure


def _draw_sizes(figure, steps, norms, ratios, layers, names):
    shown = sorted({0, len(steps) - 1})
    *panels, updates = axes = figure.subplots(
        1, len(shown) + 1, width_ratios=[max(2.0, 0.42 * len(names))] * len(shown) + [3.0]
    )
    scale = _logarithmic(norms[shown])
    for panel, index in zip(panels, shown, strict=True):
        image = _draw_logarithmic(panel, norms[index], scale, numbers=True)
        panel.set_title(f"Gradient norm, step {steps[index]}", fontsize="medium")
        panel.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)
    figure.colorbar(image, ax=panels[-1])
    image = _draw_logarithmic(updates, ratios.T, _logarithmic(ratios))
    updates.set_title("Update / weight", fontsize="medium")
    ticks = np.unique(np.linspace(0, len(steps) - 1, 5).astype(int))
    updates.set_xticks(ticks, [steps[tick] for tick in ticks])
    updates.set_xlabel("step")
    figure.colorbar(image, ax=updates)
    for panel in axes:
        panel.set_yticks(range(len(layers)), layers, fontsize="small")
        panel.tick_params(labelleft=panel is axes[0])


def _logarithmic(values):
    """Return a scale of whole powers of ten around the positive finite values."""
    powers = np.log10(values[np.isfinite(values) & (values > 0)])
    low, high = (np.floor(powers.min()), np.ceil(powers.max())) if powers.size else (0.0, 0.0)
    return LogNorm(10.0**low, 10.0 ** max(high, low + 1))


def _draw_logarithmic(axes, values, scale, numbers=False):
    """Draw a matrix; zeros and infinities have the colours of the ends of the scale."""
    cells = np.where(np.isnan(values), np.nan, np.clip(values, scale.vmin, scale.vmax))
    colors = matplotlib.colormaps["viridis"].with_extremes(bad="lightgray")
    image = axes.imshow(cells, cmap=colors, norm=scale, aspect="auto", interpolation="nearest")
    if numbers:
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                color = "white" if scale(cells[row, column]) < 0.6 else "black"
                text = f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-") if value else "0"
                axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    return image


def _draw_cosines(figure, steps, cosines, tasks):
    many = len(tasks) > MAX_TASKS_IN_PAIRS
    shown = sorted({0, len(steps) - 1}) if many else [-1]
    curves, *matrices = figure.subplots(1, 1 + len(shown), width_ratios=[3] + [2] * len(shown))
    for label, values, color in _agreements(cosines, tasks):
        curves.plot(steps, values, marker="o" if len(steps) == 1 else None, color=color, label=label)
    curves.axhline(0, color="gray", linewidth=0.8)
    curves.set(xlabel="step", ylim=(-1.05, 1.05))
    curves.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    of_means = "\n(mean over the other tasks)" if many else ""
    curves.set_title("Cosine of the tasks' gradients" + of_means, fontsize="medium")
    curves.grid(alpha=0.3)
    curves.spines[["top", "right"]].set_visible(False)
    curves.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    for matrix, index in zip(matrices, shown, strict=True):
        _draw_matrix(matrix, f"Cosine, step {steps[index]}", cosines[index], [task.name for task in tasks])
        matrix.tick_params(labelleft=matrix is matrices[0])


def _draw_matrix(axes, title, cosines, names):
    _draw_array(axes, "", np.where(np.eye(len(names)), 1.0, cosines))
    for text in axes.texts:
        text.set(fontsize=7, visible=text.get_text() != "nan")
    axes.set_title(title, fontsize="medium")
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)
    axes.set_yticks(range(len(names)), names)


def _agreements(cosines, tasks):
    """Return the lines of cosines over time: tuples of a label, values and a colour."""
    if len(tasks) > MAX_TASKS_IN_PAIRS:
        others = np.ma.masked_invalid(cosines).mean(axis=2).filled(np.nan)
        return [
            (task.name, others[:, i], color)
            for i, (task, color) in enumerate(zip(tasks, _colors(tasks).values(), strict=True))
        ]
    pairs = list(itertools.combinations(range(len(tasks)), 2))
    colors = matplotlib.colormaps["tab10"].colors
    return [
        (f"{tasks[i].name}, {tasks[j].name}", cosines[:, i, j], colors[n]) for n, (i, j) in enumerate(pairs)
    ]
