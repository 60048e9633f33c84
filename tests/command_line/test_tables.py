from mtl_zoo.command_line import tables
from mtl_zoo.task import Task

TASKS = [Task.classification("kind", 3), Task.regression("size")]


def test_columns_are_as_wide_as_they_must_be(capsys):
    tables.print_table([["", "a"], ["bcd", "efg"], ["h", ""]])
    assert capsys.readouterr().out == "     a\nbcd  efg\nh\n"


def test_metrics_of_tasks_that_have_different_ones(capsys):
    metrics = {"kind_loss": 0.5, "kind_accuracy": None, "size_loss": 1.0, "size_root_mean_squared_error": 2}
    tables.print_metrics(metrics | {"size_mean_absolute_error": float("nan")}, TASKS)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["loss", "accuracy", "mean_absolute_error", "root_mean_squared_error"],
        ["kind", "0.5000", "nan"],
        ["size", "1.0000", "nan", "2.0000"],
    ]
