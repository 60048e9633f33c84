import numpy as np

from mtl_zoo import plots
from mtl_zoo.task import Task


def test_a_tree_shows_the_nodes_on_a_path_and_the_others():
    # Two nodes per stage: tasks a and b grow on node 1 of stage 2, which grows on node 2 of stage 1.
    choices = {"branch_1": np.array([1, 0]), "branch_2": np.array([0, 0])}
    (axes,) = plots.tree(choices, [Task.binary("a"), Task.binary("b")]).axes
    edges = {tuple(map(tuple, line.get_xydata())) for line in axes.lines if len(line.get_xdata()) == 2}
    assert edges == {((1, 2), (2, 1)), ((2, 1), (3, 1)), ((2, 1), (3, 2))}
    shown = {text.get_text() for text in axes.texts}
    assert {"a", "b"} <= shown
