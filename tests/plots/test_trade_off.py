from mtl_zoo import plots

POINTS = {"a": (0.9, 2.0), "b": (0.7, 1.5), "c": (0.8, 1.0)}


def listed(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_front_is_marked():
    (axes,) = plots.trade_off(POINTS, ["a", "c"], ("kind_accuracy", "size_error"), (1, -1)).axes
    *dots, front = axes.lines
    assert [dot.get_marker() for dot in dots] == ["o", "x", "o"]
    assert (list(front.get_xdata()), list(front.get_ydata())) == ([0.8, 0.9], [1.0, 2.0])
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
    assert listed(axes.figure) == ["1  a", "2  b", "3  c", "Pareto front"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "kind accuracy (more is better)",
        "size error (less is better)",
    )


def test_without_a_front(tmp_path):
    figure = plots.trade_off(POINTS, [], ("x", "y"), (1, 1), "No front")
    figure.savefig(tmp_path / "trade_off.png")
    assert listed(figure) == ["1  a", "2  b", "3  c"]
