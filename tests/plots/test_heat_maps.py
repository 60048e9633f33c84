import numpy as np

from mtl_zoo import plots


def test_heat_maps_show_vectors_and_matrices():
    arrays = {"gate": np.array([0.25, 0.75]), "unit": np.array([[0.9, -0.1], [0.2, 1.5]])}
    figure = plots.heat_maps(arrays, title="Sharing")
    gate, unit = figure.axes
    assert (gate.get_title(), unit.get_title()) == ("gate", "unit")
    assert [text.get_text() for text in gate.texts] == ["0.25", "0.75"]
    assert [text.get_text() for text in unit.texts] == ["0.90", "-0.10", "0.20", "1.50"]
    assert unit.images[0].get_clim() == (-1.5, 1.5)
    assert figure.get_suptitle() == "Sharing"
