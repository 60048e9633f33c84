import pytest

import mtl_zoo as mz
from mtl_zoo.evaluation.ranks import mean_rank

TASKS = [mz.Task.classification("kind", 3, headline=["accuracy", "loss"]), mz.Task.regression("price")]


def row(accuracy, loss, error):
    return {"kind_accuracy": accuracy, "kind_loss": loss, "price_mean_absolute_error": error}


def test_ranks_by_direction_with_ties_shared():
    table = {"a": row(0.9, 1.0, 5.0), "b": row(0.8, 1.0, 4.0), "c": row(0.7, 2.0, 3.0)}
    expected = {"a": (1 + 1.5 + 3) / 3, "b": (2 + 1.5 + 2) / 3, "c": (3 + 3 + 1) / 3}
    assert mean_rank(table, TASKS) == pytest.approx(expected)
    assert mean_rank({"a": table["a"]}, TASKS) == {"a": 1.0}


def test_refuses_what_has_no_rank():
    with pytest.raises(ValueError, match=r"at least one method to rank"):
        mean_rank({}, TASKS)
    with pytest.raises(ValueError, match=r"'kind_loss' must be finite"):
        mean_rank({"a": row(0.9, None, 5.0)}, TASKS)
