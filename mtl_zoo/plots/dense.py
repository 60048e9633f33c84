"""Images, and beside each one the true and the predicted maps of its tasks."""

import itertools

import numpy as np

from mtl_zoo.plots._parts import colormap, new_figure, room, short
from mtl_zoo.spaces import with_spaces


def dense(image, tasks, truth, prediction, title=None):
    """Draw images, and beside each one the true and the predicted maps of the tasks.

    Classes have the colours of `matplotlib`'s `tab10` (`turbo` where there are more than ten). One number per
    pixel has one scale for all maps of the task. Vectors are drawn at length one, -x as red, -y as green and
    -z as blue: in camera coordinates with y down, what faces left is red, up green, the camera blue. Missing
    labels are blank, and so is the truth of examples outside a task's `where`. Tasks without an output per
    pixel are left out.

    Args:
        image: Array `[examples, height, width, channels]` with 1 or 3 channels in `[0, 1]`.
        tasks: Sequence of `Task`.
        truth: Dict of arrays of labels `[examples, *label_shape]` by `task.label_name`, and of those that
            a `where` reads.
        prediction: Dict of arrays of logits or predictions `[examples, *output_shape]` by the task's name.
        title: Title of the picture. Defaults to none.

    Returns:
        `matplotlib.figure.Figure`, with one row per example.

    Raises:
        ValueError: If no task has an output per pixel, one has vectors that are not of 1 or 3 numbers, or
            what a `where` reads is not there.

    Example:

    >>> task = mz.Task.dense_regression("depth", 1)
    >>> depth = {"depth": np.ones((2, 4, 4, 1))}
    >>> figure = dense(np.zeros((2, 4, 4, 3)), [task], depth, depth)
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['image', 'depth, truth', 'depth, prediction']
    """
    tasks = [task for task in with_spaces(tasks) if len(task.output_shape) == 3]
    if not tasks:
        raise ValueError("At least one task must have an output per pixel. Received: none")
    columns = {"image": (np.asarray(image).clip(0, 1), {"cmap": "gray", "vmin": 0, "vmax": 1})}
    for task in tasks:
        maps = _maps(task, np.asarray(task.labels_of(truth)), np.asarray(prediction[task.name]))
        columns |= {f"{task.name}, {side}": (x, _scale(task, maps)) for side, x in maps.items()}
    figure = new_figure(max(1.7, 0.83 * room(columns)) * len(columns), 1.7 * len(image) + 0.5)
    for index, (row, name) in enumerate(itertools.product(range(len(image)), columns), start=1):
        axes = figure.add_subplot(len(image), len(columns), index, xticks=[], yticks=[])
        axes.set_title(short(name) if row == 0 else "", fontsize="small")
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
        colors = colormap("tab10" if classes <= 10 else "turbo").resampled(max(classes, 10))
        return {"cmap": colors, "vmin": -0.5, "vmax": colors.N - 0.5}
    values = np.concatenate([x.ravel() for x in maps.values()])
    return {"cmap": "viridis", "vmin": np.nanmin(values), "vmax": np.nanmax(values)}
