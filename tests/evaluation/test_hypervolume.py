import sys

import numpy as np
import pytest

from mtl_zoo.evaluation.hypervolume import hypervolume, pareto_front

POINTS = np.array([[0.9, 2.0], [0.8, 1.0], [0.7, 1.5]])  # accuracy and error


def test_hand_worked_volumes_of_both_directions():
    assert hypervolume(POINTS, [0.5, 3.0], [1, -1]) == pytest.approx(0.4 * 1.0 + 0.3 * 1.0)
    assert hypervolume(-POINTS, [-0.5, -3.0], [-1, 1]) == pytest.approx(0.7)
    assert hypervolume([[1.0, 2.0, 3.0]], [0.0, 0.0, 0.0], [1, 1, 1]) == pytest.approx(6.0)
    assert hypervolume([[4.0]], [1.0], [1]) == pytest.approx(3.0)


def test_what_is_not_better_than_the_reference_adds_nothing():
    assert hypervolume([[0.4, 1.0], [0.9, 3.5]], [0.5, 3.0], [1, -1]) == 0.0
    assert hypervolume([*POINTS, [0.4, 0.0]], [0.5, 3.0], [1, -1]) == pytest.approx(0.7)


def test_volume_is_the_share_of_draws_that_some_point_beats():
    random = np.random.default_rng(0)
    points, draws = random.uniform(size=(5, 3)), random.uniform(size=(100_000, 3))
    share = np.mean((draws[:, None] < points).all(axis=2).any(axis=1))
    assert hypervolume(points, [0.0, 0.0, 0.0], [1, 1, 1]) == pytest.approx(share, abs=0.01)


def test_front_keeps_equal_points_together():
    points = [*POINTS, [0.8, 1.0], [0.8, 1.2]]
    assert pareto_front(points, [1, -1]).tolist() == [True, True, False, True, False]
    assert pareto_front(points, [-1, 1]).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("points", "signs", "message"),
    [
        ([[1.0, 2.0]], [1], r"`points` must be finite numbers \[points, 1\]"),
        ([1.0, 2.0], [1, 1], r"`points` must be finite numbers"),
        ([[1.0, np.nan]], [1, 1], r"`points` must be finite numbers"),
        (np.zeros((0, 2)), [1, 1], r"`points` must be finite numbers"),
        ([[1.0, 2.0]], [1, 0], r"`signs` must be 1 where more is better, and -1"),
        ([[1.0, 2.0]], [1, 1.5], r"`signs` must be 1 where more is better, and -1"),
    ],
)
def test_refuses(points, signs, message):
    with pytest.raises(ValueError, match=message):
        pareto_front(points, signs)
    with pytest.raises(ValueError, match=message):
        hypervolume(points, [0.0, 0.0], signs)


def test_reference_has_one_number_per_objective():
    with pytest.raises(ValueError, match=r"`reference` must have one number per task, 2"):
        hypervolume(POINTS, [0.0], [1, -1])


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    with pytest.raises(ImportError, match=r"pip install 'mtl-zoo\[evaluation\]'"):
        pareto_front(POINTS, [1, -1])
