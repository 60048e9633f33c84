from mtl_zoo.evaluation.cell import Cell
from tests.evaluation.harness import fail, make_up, metrics, study_of


def test_a_cell_is_known_by_its_recipe(tmp_path):
    study = study_of(tmp_path)
    job, other = study.tuning()[:2]
    assert job.cell.path == tmp_path / "cells" / job.cell.recipe.hash[:16]
    assert Cell(tmp_path / "cells", job.cell.recipe).path == job.cell.path != other.cell.path


def test_what_is_done_is_seen_from_its_files(tmp_path):
    cell = study_of(tmp_path).tuning()[0].cell
    assert not any(map(cell.has, ("train", "test", "probe")))
    make_up(cell, metrics(0.5, 1.0))
    assert list(map(cell.has, ("train", "test", "probe"))) == [True, False, False]
    assert cell.validation == metrics(0.5, 1.0)
    (cell.path / "test.json").write_text('{"malignant_auc": 0.25}')
    (cell.path / "probe.json").write_text('{"steps": 64}')
    assert all(map(cell.has, ("train", "test", "probe")))
    assert (cell.test, cell.probe) == ({"malignant_auc": 0.25}, {"steps": 64})
    assert cell.about == {"parameters": 1234, "peak_memory": 500.0}
    (cell.run.path / "backup").mkdir()  # of a training that goes on
    assert not cell.has("test")


def test_a_failure_has_a_reason(tmp_path):
    cell = study_of(tmp_path).tuning()[0].cell
    assert cell.failure is None
    fail(cell)
    assert cell.failure == "train: killed by SIGKILL"
