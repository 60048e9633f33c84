"""Mean ranks of methods."""

import numpy as np

from mtl_zoo.evaluation.delta_m import number
from mtl_zoo.headlines import headline_metrics
from mtl_zoo.validation import check_names


def mean_rank(table, tasks):
    """Return the mean rank of every method over tasks and their headline metrics; 1 is best.

    Methods that are equal share the mean of their ranks. Every headline metric counts the same.

    Args:
        table: Dict from names of methods to dicts of metrics as for `delta_m`.
        tasks: Sequence of `Task`.

    Returns:
        Dict from names of methods to floats.

    Raises:
        ValueError: If there is no method, a metric is missing or not finite, or its direction is not known.

    Example:

    >>> table = {"equal": {"kind_loss": 0.5}, "dwa": {"kind_loss": 0.4}, "rlw": {"kind_loss": 0.5}}
    >>> mean_rank(table, [mz.Task.classification("kind", 3, headline=["loss"])])
    {'equal': 2.5, 'dwa': 1.0, 'rlw': 2.5}
    """
    check_names(tasks)
    if not table:
        raise ValueError(f"There must be at least one method to rank. Received: table={table!r}")
    ranks = [
        _ranks([-sign * number(metrics, task, name) for metrics in table.values()])
        for task in tasks
        for name, sign in headline_metrics(task).items()
    ]
    return dict(zip(table, map(float, np.mean(ranks, axis=0)), strict=True))


def _ranks(costs):
    from scipy.stats import rankdata

    return rankdata(costs)  # the least first, ties averaged
