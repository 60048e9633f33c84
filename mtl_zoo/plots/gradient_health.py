"""Norms, updates and cosines of the tasks' gradients over a training."""

import itertools

import numpy as np

from mtl_zoo.plots._parts import (
    colormap,
    draw_cosines,
    more_room,
    name_columns,
    name_rows,
    new_figure,
    room,
    short,
    task_colors,
    tick_integers,
)

MAX_TASKS_IN_PAIRS = 4


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
    heights = [height + more_room(names) for height in heights]
    width = 2 * max(2.0, 0.42 * len(names)) + room(layers) + 6.0
    figure = new_figure(width, sum(heights) + 0.4)
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
        name_columns(panel, names)
    figure.colorbar(image, ax=panels[-1])
    image = _draw_logarithmic(updates, ratios.T, _logarithmic(ratios))
    updates.set_title("Update / weight", fontsize="medium")
    ticks = np.unique(np.linspace(0, len(steps) - 1, 5).astype(int))
    updates.set_xticks(ticks, [steps[tick] for tick in ticks])
    updates.set_xlabel("step")
    figure.colorbar(image, ax=updates)
    for panel in axes:
        name_rows(panel, layers, fontsize="small")
        panel.tick_params(labelleft=panel is axes[0])


def _logarithmic(values):
    """Return a scale of whole powers of ten around the positive finite values."""
    from matplotlib.colors import LogNorm

    powers = np.log10(values[np.isfinite(values) & (values > 0)])
    low, high = (np.floor(powers.min()), np.ceil(powers.max())) if powers.size else (0.0, 0.0)
    return LogNorm(10.0**low, 10.0 ** max(high, low + 1))


def _draw_logarithmic(axes, values, scale, numbers=False):
    """Draw a matrix; zeros and infinities have the colours of the ends of the scale."""
    cells = np.where(np.isnan(values), np.nan, np.clip(values, scale.vmin, scale.vmax))
    colors = colormap("viridis").with_extremes(bad="lightgray")
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
        curves.plot(steps, values, marker="o" if len(steps) == 1 else None, color=color, label=short(label))
    curves.axhline(0, color="gray", linewidth=0.8)
    curves.set(xlabel="step", ylim=(-1.05, 1.05))
    tick_integers(curves.xaxis)
    of_means = "\n(mean over the other tasks)" if many else ""
    curves.set_title("Cosine of the tasks' gradients" + of_means, fontsize="medium")
    curves.grid(alpha=0.3)
    curves.spines[["top", "right"]].set_visible(False)
    curves.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize="small")
    for matrix, index in zip(matrices, shown, strict=True):
        draw_cosines(matrix, f"Cosine, step {steps[index]}", cosines[index], [task.name for task in tasks])
        matrix.tick_params(labelleft=matrix is matrices[0])


def _agreements(cosines, tasks):
    """Return the lines of cosines over time: tuples of a label, values and a colour."""
    if len(tasks) > MAX_TASKS_IN_PAIRS:
        others = np.ma.masked_invalid(cosines).mean(axis=2).filled(np.nan)
        return [
            (task.name, others[:, i], color)
            for i, (task, color) in enumerate(zip(tasks, task_colors(tasks).values(), strict=True))
        ]
    pairs = list(itertools.combinations(range(len(tasks)), 2))
    colors = colormap("tab10").colors
    return [
        (f"{tasks[i].name}, {tasks[j].name}", cosines[:, i, j], colors[n]) for n, (i, j) in enumerate(pairs)
    ]
