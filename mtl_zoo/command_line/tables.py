"""Tables on stdout."""


def print_metrics(metrics, tasks):
    """Print a row per task and a column per metric; `nan` where nothing was measured.

    Args:
        metrics: Dictionary from the names of the logs to numbers; `None` is as NaN.
        tasks: Sequence of `Task`.

    Example:

    >>> task = mz.Task.classification("left", 10)
    >>> print_metrics({"left_loss": 0.25, "left_accuracy": None}, [task])
          loss    accuracy
    left  0.2500  nan
    """
    from mtl_zoo.training.task_metrics import TaskMetrics

    names = {
        task.name: ["loss", *(name.removeprefix(f"{task.name}_") for name in TaskMetrics(task).names)]
        for task in tasks
    }
    columns = list(dict.fromkeys(name for found in names.values() for name in found))
    rows = [
        [task, *(_cell(metrics[f"{task}_{name}"]) if name in found else "" for name in columns)]
        for task, found in names.items()
    ]
    print_table([["", *columns], *rows])


def print_table(rows):
    """Print rows of strings, in columns as wide as their widest entry."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def _cell(number):
    return "nan" if number is None else f"{number:.4f}"
