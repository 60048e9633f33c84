import pytest

from tests.evaluation.harness import fail, made_up, make_up, metrics, study_of

SINGLE, EQUAL, UNCERTAINTY = "single_task, equal", "hard_sharing, equal", "hard_sharing, uncertainty"
DELTAS = {SINGLE: (0, 0, 0), EQUAL: (1, 2, 3), UNCERTAINTY: (4, 4, 4)}


def test_tuning_is_the_same_for_every_method_and_sees_no_test_split(tmp_path):
    study = study_of(tmp_path, tuning_seeds=2)
    jobs = study.tuning()
    assert len(jobs) == 3 * 2 * 2
    assert {job.kind for job in jobs} == {"train"}
    assert len({job.cell.path for job in jobs}) == len(jobs)
    assert jobs[1].label == "single_task, equal, learning_rate=0.1, seed=1"
    assert study_of(tmp_path, rates=(0.1,)).tuning() == []


def test_chosen_is_what_is_nearest_to_the_best_of_each_metric(tmp_path):
    """The sum of losses would choose the other: made-up losses are all alike, the first would be taken."""
    study = study_of(tmp_path, rates=(0.1, 0.01, 0.001))
    method = study.methods[1]
    found = [(0.8, 4.0), (0.9, 4.4), (0.6, 4.0)]  # behind by 11% and 0, 0 and 10%, 33% and 0
    for point, values in zip(study.grid.points, found, strict=True):
        make_up(study.cell(method, point, 0), metrics(*values))
    assert study.chosen(method) == {"learning_rate": 0.01}


def test_where_a_best_is_zero_ranks_choose(tmp_path):
    study = study_of(tmp_path, rates=(0.1, 0.01, 0.001))
    method = study.methods[1]
    for point, values in zip(study.grid.points, [(0.7, 0.0), (0.9, 0.1), (0.8, 0.2)], strict=True):
        make_up(study.cell(method, point, 0), metrics(*values))
    assert study.chosen(method) == {"learning_rate": 0.01}  # ranks 2, 1.5 and 2.5


def test_values_that_failed_are_not_chosen(tmp_path):
    study = study_of(tmp_path)
    good, bad, worse = study.methods
    for method in (good, bad):
        make_up(study.cell(method, {"learning_rate": 0.1}, 0), metrics(0.6, 1.0))
    fail(study.cell(good, {"learning_rate": 0.01}, 0))
    make_up(study.cell(bad, {"learning_rate": 0.01}, 0), metrics(None, 0.1))
    for rate in study.grid.points:
        fail(study.cell(worse, rate, 0))
    assert study.chosen(good) == study.chosen(bad) == {"learning_rate": 0.1}
    assert study.chosen(worse) is None
    assert len(study.testing()) == 2 * 3
    failures = study.failures()
    assert failures["single_task, equal, learning_rate=0.01, seed=0"] == "train: killed by SIGKILL"
    assert "'malignant_auc' must be finite" in failures["hard_sharing, equal, learning_rate=0.01, seed=0"]
    assert "hard_sharing, equal, learning_rate=0.1, seed=0" in failures  # not tested yet


def test_one_value_needs_no_choice(tmp_path):
    study = study_of(tmp_path, rates=(0.1,))
    assert study.chosen(study.methods[0]) == {"learning_rate": 0.1}
    assert {job.kind for job in study.testing()} == {"test"}


def test_deltas_are_against_single_tasks_of_the_same_seed(tmp_path):
    study = made_up(tmp_path, DELTAS)
    found = {method.name: list(study.deltas(method).values()) for method in study.methods}
    assert found == {name: pytest.approx(values) for name, values in DELTAS.items()}
    assert study.means(study.methods[1]) == {
        "malignant_auc": pytest.approx(0.51),
        "worst_mean_absolute_error": pytest.approx(1.96),
    }
    assert study.ranks() == {SINGLE: 3.0, EQUAL: 2.0, UNCERTAINTY: 1.0}
    assert study.failures() == {}


def test_a_seed_that_failed_is_left_out(tmp_path):
    study = made_up(tmp_path, DELTAS)
    lost = study.cell(study.methods[0], study.grid.points[1], 1)
    (lost.path / "test.json").unlink()
    study = study_of(tmp_path)
    assert list(study.deltas(study.methods[2])) == [0, 2]
    assert list(study.failures()) == ["single_task, equal, learning_rate=0.01, seed=1"]


def test_methods_are_compared_with_equal_weighting_and_that_with_single_tasks(tmp_path):
    single, equal, uncertainty = (study := study_of(tmp_path)).methods
    assert [study.reference(x) for x in (single, equal, uncertainty)] == [None, single, equal]
