"""Predictions as the columns of a table: classes with their names, probabilities, and numbers."""

import numpy as np


def columns_of(task, about, predictions):
    """Return the columns that a task fills.

    Args:
        task: Name of the task.
        about: What a model card tells of it: `kind`, `classes` and, where they have some, `class_names`.
        predictions: Array of activated outputs, `[rows, ...]`.

    Returns:
        Dictionary from names of columns to sequences of strings.

    Example:

    >>> about = {"kind": "classification", "classes": 2, "class_names": ["nurse", "pilot"]}
    >>> columns_of("job", about, np.array([[0.25, 0.75]], "float32"))
    {'job': ['pilot'], 'job_probability_nurse': ['0.25'], 'job_probability_pilot': ['0.75']}
    >>> columns_of("spent", {"kind": "regression"}, np.array([[2.5]], "float32"))
    {'spent': ['2.5']}
    """
    predictions = np.reshape(predictions, (len(predictions), -1))
    if about["kind"] == "binary":
        return _binary(task, about.get("class_names") or ["0", "1"], predictions[:, 0])
    if about["kind"] == "multilabel":
        return _multilabel(task, about.get("class_names"), predictions)
    if about.get("classes"):
        return _classes(task, about.get("class_names"), predictions)
    names = [task] if predictions.shape[1] == 1 else [f"{task}_{i}" for i in range(predictions.shape[1])]
    return {name: _numbers(column) for name, column in zip(names, predictions.T, strict=True)}


def _binary(task, names, probabilities):
    """Return the class, 1 where its probability is over one half, and that probability."""
    words = [names[int(p > 0.5)] for p in probabilities]
    return {task: words, f"{task}_probability_{names[1]}": _numbers(probabilities)}


def _multilabel(task, names, probabilities):
    """Return for every label whether it is there, and the probability of that."""
    columns = {}
    for index, column in enumerate(probabilities.T):
        name = f"{task}_{names[index] if names else index}"
        columns[name] = [str(int(p > 0.5)) for p in column]
        columns[f"{name}_probability"] = _numbers(column)
    return columns


def _classes(task, names, probabilities):
    """Return the likeliest class, and the probability of each."""
    names = names or list(map(str, range(probabilities.shape[1])))
    columns = {task: [names[index] for index in probabilities.argmax(axis=1)]}
    for name, column in zip(names, probabilities.T, strict=True):
        columns[f"{task}_probability_{name}"] = _numbers(column)
    return columns


def _numbers(values):
    """Return the shortest text of each number that tells it exactly."""
    return [str(value) for value in np.asarray(values, "float32")]
