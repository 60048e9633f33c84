"""What architectures for a chain of events share."""

import keras


def is_binary(task):
    """Return whether a task's output is the logit of one event."""
    return task.output_shape == (1,) and task.activation is keras.activations.sigmoid


def check_everywhere(tasks):
    """Raise an error if a task is defined on some rows alone: a product of probabilities is on all."""
    some = [task.name for task in tasks if task.where is not None]
    if some:
        raise ValueError(f"Tasks of a chain must be defined on every row, without `where`. Received: {some}")


def check_binary(tasks):
    """Raise an error unless every task is binary."""
    others = [task.name for task in tasks if not is_binary(task)]
    if others:
        raise ValueError(
            "Every task of a chain must be binary, as `Task.binary` makes them. "
            f"Received: tasks {others}, which are not"
        )
