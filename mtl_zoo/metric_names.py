"""Names of metrics that do not depend on what was made before."""

import collections


def named_metrics(makers):
    """Return fresh metrics, each with a name of its own: `auc`, `auc_1`.

    Where none was given, the name is that of the class, whatever metrics were made before.

    Args:
        makers: Functions without arguments that each return a fresh `keras.metrics.Metric`.

    Example:

    >>> [metric.name for metric in named_metrics([keras.metrics.AUC, keras.metrics.AUC])]
    ['auc', 'auc_1']
    """
    found, used = [make() for make in makers], collections.Counter()
    for make, metric in zip(makers, found, strict=True):
        name = _given_name(make, metric)
        metric.name = f"{name}_{used[name]}" if used[name] else name
        used[name] += 1
    return found


def _given_name(make, metric):
    """Return a metric's name without the number that Keras gives where there was one of its class before."""
    name, _, number = metric.name.rpartition("_")
    return name if number.isdigit() and make().name != metric.name else metric.name
