"""Metrics that are made anew for every trainer, with names that do not depend on what was made before."""

import collections
import functools

import keras

ACCURACY = ("accuracy", "acc")


def maker(metric, accuracy=None):
    """Return a function that makes a fresh metric.

    Args:
        metric: Such a function, a `keras.metrics.Metric` (of which copies are made), the name of one, or a
            function `(labels, predictions) -> values`.
        accuracy: The function for `"accuracy"`, which depends on the task. Defaults to none.

    Raises:
        ValueError: If it is none of these.

    Example:

    >>> maker("mae")().name, maker(keras.metrics.AUC(name="area"))().name
    ('mae', 'area')
    """
    if isinstance(metric, str) and metric.lower() in ACCURACY and accuracy is not None:
        return functools.partial(accuracy, name=metric)
    if isinstance(metric, keras.metrics.Metric):
        return functools.partial(_copy, metric)
    if isinstance(metric, str):
        return functools.partial(_by_name, _found(metric), metric)
    if not callable(metric):
        raise ValueError(
            "A metric must be a `keras.metrics.Metric`, the name of one, or a function without arguments "
            f"that makes one. Received: {metric!r}"
        )
    return metric


def of_values(function):
    """Return a maker of the mean of a function `(labels, predictions) -> values`, as Keras makes it."""
    name = getattr(function, "__name__", type(function).__name__)
    return functools.partial(keras.metrics.MeanMetricWrapper, function, name)


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


def _found(name):
    try:
        return keras.metrics.get(name)
    except (TypeError, ValueError):
        raise ValueError(f"A metric must be one that Keras knows by its name. Received: {name!r}") from None


def _by_name(found, name):
    if isinstance(found, keras.metrics.Metric):
        found = _copy(found)
        found.name = name
        return found
    return keras.metrics.MeanMetricWrapper(found, name)


def _copy(metric):
    """Return a metric of the same kind and settings, without a state."""
    try:
        return type(metric).from_config(metric.get_config())
    except TypeError:
        kind = type(metric).__name__
        raise ValueError(
            f"A metric must say in `get_config` how it is made, or be given as a function that makes one. "
            f"Received: {kind}, whose `get_config` does not do for `{kind}(...)`"
        ) from None
