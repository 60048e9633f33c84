import numpy as np

from mtl_zoo import plots


def test_colours_span_what_is_beside_the_diagonal():
    values = np.array([[9.0, 0.02], [np.nan, 8.0]])
    (axes,) = plots.task_matrix(values, ["a", "b"]).axes
    assert axes.images[0].get_clim() == (-0.02, 0.02)
    assert [text.get_text() for text in axes.texts if text.get_visible()] == ["9", "0.02", "8"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_a_tree_has_tasks_in_an_order_without_crossings():
    values = np.zeros((4, 4))
    figure = plots.task_matrix(values, list("abcd"), [(0, 2, 3.0), (1, 3, 2.0), (4, 5, 1.0)], "Together")
    _, tree = figure.axes
    assert figure.get_suptitle() == "Together"
    assert [label.get_text() for label in tree.get_yticklabels()] == ["a", "c", "b", "d"]
    lines = [list(map(float, line.get_xdata())) for line in tree.lines]
    assert lines == [[3.2, 3, 3, 3.2], [3.2, 2, 2, 3.2], [3, 1, 1, 2]]  # leaves begin at the left
    assert [list(map(float, line.get_ydata())) for line in tree.lines][2] == [0.5, 0.5, 2.5, 2.5]
