from mtl_zoo import plots


def test_a_point_per_method_with_its_interval(tmp_path):
    figure = plots.delta_m({"a": (1.0, 0.5, 1.5), "b": (-2.0, None, None)}, "Digits")
    (axes,) = figure.axes
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines[1:]]
    assert lines == [([1.0], [0]), ([0.5, 1.5], [0, 0]), ([-2.0], [1])]
    assert list(axes.lines[0].get_xdata()) == [0, 0]
    assert axes.get_ylim() == (1.5, -0.5)  # the first on top
    assert axes.get_title() == "Digits"
    figure.savefig(tmp_path / "delta_m.png")
    assert (tmp_path / "delta_m.png").read_bytes().startswith(b"\x89PNG")
