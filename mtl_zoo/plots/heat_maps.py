"""Vectors and matrices, such as gates and mixing matrices, with their values."""

import math

import numpy as np

from mtl_zoo.plots._parts import MAX_COLUMNS, PANEL_SIZE, draw_array, new_figure


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
    figure = new_figure(PANEL_SIZE[0] * columns, height * rows + 0.5)
    for index, (name, array) in enumerate(arrays.items(), start=1):
        draw_array(figure.add_subplot(rows, columns, index), name, array)
    figure.suptitle(title)
    return figure
