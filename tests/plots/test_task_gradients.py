import numpy as np

from mtl_zoo import plots


def test_task_gradients_shows_cosines_lengths_and_labels():
    cosines = np.array([[np.nan, -0.3, 0.5], [-0.3, np.nan, np.nan], [0.5, np.nan, np.nan]])
    figure = plots.task_gradients(cosines, [0.5, 20.0, np.nan], [1.0, 0.25, 0.0], ["a", "b", "c"], "digits")
    matrix, lengths, labels = figure.axes
    shown = [text.get_text() for text in matrix.texts if text.get_visible()]
    assert shown == ["1.00", "-0.30", "0.50", "-0.30", "1.00", "0.50", "1.00"]
    assert [label.get_text() for label in matrix.get_yticklabels()] == ["a", "b", "c"]
    assert [text.get_text() for text in lengths.texts] == ["0.5", "20", ""]
    assert [patch.get_width() for patch in lengths.patches[:2]] == [0.5, 20.0]
    assert lengths.get_xscale() == "log"
    assert [text.get_text() for text in labels.texts] == ["100%", "25%", "0%"]
    assert labels.get_ylim() == matrix.get_ylim()  # the first task on top in all
    figure.canvas.draw()
