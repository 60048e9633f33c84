"""The mean relative improvement over single-task models."""

import math

import numpy as np

from mtl_zoo import arguments
from mtl_zoo.headlines import headline_metrics
from mtl_zoo.validation import check_names


def delta_m(metrics, baseline, tasks):
    """Return the mean relative improvement over a baseline in percent; positive is better.

    It is the mean over the tasks of the mean over a task's headline metrics of `s (m - b) / |b|`, where `s`
    is 1 for metrics of which more is better and -1 for others.

    Args:
        metrics: Dict as `Trainer.evaluate(return_dict=True)` returns it, or `Run.metrics["test"]`, of the
            model to judge.
        baseline: Dict likewise, of single-task models. For a mean over seeds take that of the same seed, so
            that the differences are independent draws: see `interval`.
        tasks: Sequence of `Task`, whose `headline` names the metrics.

    Returns:
        Float.

    Raises:
        ValueError: If a metric is missing or not finite, or 0 in the baseline; or its direction is not known.

    Reference:
        [Maninis et al., 2019](https://arxiv.org/abs/1904.08918), equation 2

    Note:
        The paper divides by `b`, which is the same for what is never negative. An R² or a likelihood may be,
        and there only `|b|` keeps a gain a gain.

    Example:

    >>> tasks = [mz.Task.classification("kind", 3), mz.Task.regression("price")]
    >>> single = {"kind_accuracy": 0.5, "price_mean_absolute_error": 4.0}
    >>> shared = {"kind_accuracy": 0.6, "price_mean_absolute_error": 5.0}  # +20% and -25%
    >>> round(delta_m(shared, single, tasks), 6)
    -2.5
    """
    check_names(tasks)
    return 100.0 * float(np.mean([_of_task(metrics, baseline, task) for task in tasks]))


def number(metrics, task, name):
    """Return a metric of a task, which must be there and finite.

    Args:
        metrics: Dict as for `delta_m`.
        task: `Task`.
        name: Name of the metric, as `headline_metrics` returns it.
    """
    key = f"{task.name}_{name}"
    if key not in arguments.mapping("metrics", metrics):
        raise ValueError(
            f"There must be a metric '{key}', by which task '{task.name}' is judged. "
            f"Received: {list(metrics or ())}"
        )
    value = metrics[key]
    if value is None or not math.isfinite(value):
        raise ValueError(f"Metric '{key}' must be finite. Received: {value}")
    return float(value)


def _of_task(metrics, baseline, task):
    signs = headline_metrics(task)
    return np.mean([sign * _gain(metrics, baseline, task, name) for name, sign in signs.items()])


def _gain(metrics, baseline, task, name):
    found, single = (number(values, task, name) for values in (metrics, baseline))
    if single == 0:
        raise ValueError(
            f"The baseline's '{name}' of task '{task.name}' must not be 0: nothing is a percentage of it. "
            f"Give the task another `headline`. Received: {single}"
        )
    return (found - single) / abs(single)
