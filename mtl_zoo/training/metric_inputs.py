"""Inputs of the model that metrics want beside labels and predictions, by their attribute `input_name`."""

import math

import keras


def check(model, task_metrics):
    """Raise an error unless the model has the inputs that metrics want, each one number per example.

    Args:
        model: `keras.Model`.
        task_metrics: List of `TaskMetrics`.

    Raises:
        ValueError: If an input is not there, or holds no numbers or several.
    """
    inputs = {x.name: x for x in getattr(model, "inputs", None) or ()}
    for metric in _wanting(task_metrics):
        found = inputs.get(metric.input_name)
        if found is None or found.dtype in ("string", "bool") or math.prod(found.shape[1:] or (1,)) != 1:
            received = list(inputs) if found is None else f"{found.dtype} of shape {found.shape}"
            raise ValueError(
                f"Metric '{metric.name}' must find its `input_name` among the inputs of the model, of one "
                f"number per example: input '{metric.input_name}' of the model. Received: {received}"
            )


def found(model, task_metrics, x):
    """Return the inputs of a batch that metrics want, in a dict by name.

    Args:
        model: `keras.Model`.
        task_metrics: List of `TaskMetrics`.
        x: Inputs in the structure that the model takes.
    """
    wanted = {metric.input_name for metric in _wanting(task_metrics)}
    if not wanted:
        return {}
    values = zip(model.inputs, keras.tree.flatten(x), strict=True)
    return {symbol.name: value for symbol, value in values if symbol.name in wanted}


def _wanting(task_metrics):
    return [metric for each in task_metrics for metric in each.metrics if hasattr(metric, "input_name")]
