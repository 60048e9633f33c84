"""Cosines of the gradients of tasks, as `GradientMonitor` measured them."""

import csv

import numpy as np

from mtl_zoo import files
from mtl_zoo.callbacks import GradientMonitor
from mtl_zoo.callbacks.gradient_monitor import TABLE
from mtl_zoo.evaluation.probe import Probe, mean_cosines
from mtl_zoo.relations.task_matrix import TaskMatrix


def cosines(source):
    """Return the mean cosines of the gradients of what two tasks share, a `TaskMatrix`.

    Args:
        source: `callbacks.GradientMonitor` after a training, or `evaluation.Probe`.

    Returns:
        Symmetric `TaskMatrix` with 1 on its diagonal; NaN where two tasks share nothing.

    Raises:
        TypeError: If `source` is something else.
        FileNotFoundError: If the monitor has measured nothing.

    Example:

    >>> probe = mz.evaluation.Probe(("a", "b"), 64, ((None, -0.3), (-0.3, None)), (0.5, 2.0), (1.0, 1.0))
    >>> cosines(probe).values.tolist()
    [[1.0, -0.3], [-0.3, 1.0]]
    """
    if isinstance(source, GradientMonitor):
        with files.check_file(source.directory / TABLE).open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = tuple(task.name for task in source.model.tasks)
        found = mean_cosines(rows, names)
    elif isinstance(source, Probe):
        names, found = source.tasks, source.cosines
    else:
        raise TypeError(f"`source` must be a `GradientMonitor` or a `Probe`. Received: source={source!r}")
    values = np.array(found, "float64")
    return TaskMatrix(names, np.where(np.eye(len(names)), 1.0, values), "cosine")
