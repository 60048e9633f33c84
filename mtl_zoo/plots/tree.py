"""The tree that a branching model has learned."""

import numpy as np

from mtl_zoo.plots._parts import more_room, new_figure, short


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
    width = 1.6 * len(levels) + 2.0 + more_room([task.name for task in tasks])
    figure = new_figure(width, 0.6 * max(map(len, levels)) + 1.0)
    axes = figure.add_subplot(title=title, xlabel="stage", xticks=range(1, len(levels) + 1), yticks=[])
    for stage, (parents, nodes) in enumerate(zip(levels, used, strict=True), start=1):
        for node in range(len(levels[0]) if stage == 1 else len(levels[stage - 2])):
            axes.scatter(stage, node + 1, s=120, color="tab:blue" if node in nodes else "lightgray", zorder=2)
        children = range(len(parents)) if stage == len(levels) else used[stage]
        for child in children:
            axes.plot([stage, stage + 1], [parents[child] + 1, child + 1], color="tab:blue", zorder=1)
    for position, task in enumerate(tasks, start=1):
        axes.text(len(levels) + 1.1, position, short(task.name), va="center")
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
