import csv

from mtl_zoo.evaluation.results import RESULTS, rows, write_results
from tests.evaluation.harness import made_up
from tests.evaluation.test_study import DELTAS


def test_a_row_per_training_and_task(tmp_path):
    study = made_up(tmp_path, DELTAS)
    found = list(rows(study))
    assert len(found) == 3 * (3 + 1) * 2  # methods; chosen and otherwise tuned; tasks
    write_results(study)
    with (tmp_path / RESULTS).open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["method"] for row in read] == [row["method"] for row in found]
    first, second, third = read[:3]
    assert (first["chosen"], first["learning_rate"], first["task"]) == ("no", "0.1", "malignant")
    assert (first["validation_auc"], first["test_auc"]) == ("0.5", "")  # what only tuned has no test
    assert (second["task"], second["validation_auc"]) == ("worst", "")
    assert second["validation_mean_absolute_error"] == "1.0"
    assert (third["chosen"], third["seed"], third["validation_auc"], third["test_auc"]) == (
        "yes",
        "0",
        "0.6",
        "0.5",
    )
    assert (third["parameters"], third["peak_memory_mb"], third["seconds_per_epoch"]) == (
        "1234",
        "500.0",
        "1.5",
    )
