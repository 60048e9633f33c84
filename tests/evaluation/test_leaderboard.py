import dataclasses

import pytest
from scipy import stats

from mtl_zoo.evaluation.leaderboard import LEADERBOARD, Leaderboard, _edges, write_leaderboard
from tests.evaluation.harness import fail, made_up, make_up, metrics, study_of
from tests.evaluation.test_study import DELTAS, EQUAL, SINGLE, UNCERTAINTY


def test_rows_are_sorted_by_delta_and_say_how_sure_it_is(tmp_path):
    board = Leaderboard(made_up(tmp_path, DELTAS | {UNCERTAINTY: (4, 5, 6.3)}))
    titles, *rows = board.rows()
    assert titles == [
        *("method", "malignant auc ↑", "worst mean absolute error ↓", "δm %", "against equal", "mean rank"),
        *("learning rate", "seeds", "s/epoch", "parameters", "peak MB"),
    ]
    assert [row[0] for row in rows] == [UNCERTAINTY, EQUAL, SINGLE]
    low, high = stats.t.interval(0.95, 2, 2.0, stats.sem([1, 2, 3]))
    assert rows[1][1:] == [
        *("0.51", "1.96", f"+2.00 ({low:+.2f} to {high:+.2f})", "-", "2.00"),
        *("0.01", "3 of 3", "1.50", "1,234", "500"),
    ]
    assert rows[0][4].startswith("+3.10 (")
    assert rows[0][4].endswith("*")
    assert rows[2][3:5] == ["+0.00", "-"]
    assert board.intervals()[EQUAL] == pytest.approx((2.0, low, high))
    assert "larger than chance" in board.verdict()[0]


def test_one_seed_has_no_bounds(tmp_path):
    board = Leaderboard(made_up(tmp_path, dict.fromkeys(DELTAS, (2,)) | {SINGLE: (0,)}, seeds=(5,)))
    assert board.rows()[1][3:5] == ["+2.00", "-"] or board.rows()[2][3:5] == ["+2.00", "-"]
    assert "one seed" in board.verdict()[0]
    write_leaderboard(board, ["Nothing."])
    assert "one seed: no intervals" in (tmp_path / LEADERBOARD).read_text()


def test_the_page_begins_with_the_probe_and_ends_with_what_is_left_out(tmp_path):
    study = study_of(tmp_path, rates=(0.1,), seeds=(0, 1))
    for method in study.methods[:2]:
        for seed in (0, 1):
            make_up(
                study.cell(method, study.grid.points[0], seed), metrics(0.5, 1.0), metrics(0.5, 1.0 + seed)
            )
    for seed in (0, 1):
        fail(study.cell(study.methods[2], study.grid.points[0], seed), "train: out of | memory")
    write_leaderboard(Leaderboard(study), ["The gradients agree."])
    page = (tmp_path / LEADERBOARD).read_text()
    assert page.startswith(
        "# Do you need a balancer?\n\nThe gradients agree.\n\n# Leaderboard of breast_cancer\n"
    )
    assert "The only difference is not larger than chance. The largest: hard_sharing, equal is" in page
    assert page.endswith(
        "# Left out\n\n- hard_sharing, uncertainty, learning_rate=0.1, seed=0: train: out of | memory\n"
        "- hard_sharing, uncertainty, learning_rate=0.1, seed=1: train: out of | memory\n"
    )
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 2


def test_a_baseline_of_zero_is_told(tmp_path):
    study = study_of(tmp_path, rates=(0.1,), seeds=(0,))
    for method in study.methods:
        make_up(study.cell(method, study.grid.points[0], 0), metrics(0.5, 1.0), metrics(0.5, 0.0))
    board = Leaderboard(study)
    assert board.verdict()[0].startswith("δm is not defined: The baseline's 'mean_absolute_error'")
    assert board.intervals() == {}
    assert board.rows()[1][3] == "-"


def test_memory_that_is_not_known(tmp_path):
    study = study_of(tmp_path, rates=(0.1,), seeds=(0,))
    make_up(
        study.cell(study.methods[0], study.grid.points[0], 0), metrics(0.5, 1), metrics(0.5, 1), memory=None
    )
    assert Leaderboard(study).rows()[1][-1] == "-"


@pytest.mark.parametrize(
    ("rates", "line"),
    [
        (
            (0.1, 0.01),
            "Learning rate: of 3 methods 1 chose the largest tried, 0.1, 2 chose the smallest tried, 0.01.",
        ),
        (
            (0.1, 0.01, 0.001),
            "Learning rate: of 3 methods 1 chose the largest tried, 0.1, 0 chose the smallest tried, 0.001.",
        ),
        ((0.01,), None),
    ],
)
def test_a_choice_at_an_edge_of_the_grid_is_told(tmp_path, monkeypatch, rates, line):
    study = made_up(tmp_path, DELTAS)
    best = {SINGLE: 0.1}
    monkeypatch.setattr(study, "chosen", lambda method: {"learning_rate": best.get(method.name, 0.01)})
    monkeypatch.setattr(study, "grid", dataclasses.replace(study.grid, tuned={"learning_rate": rates}))
    lines = list(_edges(study))
    assert len(lines) == (line is not None)
    assert all(line in found for found in lines)


def test_what_is_no_number_has_no_edge(tmp_path, monkeypatch):
    study = made_up(tmp_path, DELTAS)
    monkeypatch.setattr(study, "chosen", lambda method: {"jit_compile": True})
    monkeypatch.setattr(study, "grid", dataclasses.replace(study.grid, tuned={"jit_compile": (True, False)}))
    assert not list(_edges(study))
