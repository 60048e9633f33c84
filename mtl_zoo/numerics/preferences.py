"""Preferences among tasks: one positive number each, checked where they enter."""

from keras import ops

from mtl_zoo import arguments


def check_preferences(preferences):
    """Return preferences as a list of floats.

    Args:
        preferences: Sequence of positive numbers, one per task, or `None`.

    Returns:
        List of floats, or `None`.

    Raises:
        ValueError: If a number is not positive and finite.
    """
    return None if preferences is None else arguments.numbers("preferences", preferences, above=0)


def check_one_per_task(preferences, num_tasks):
    """Raise an error unless there are as many preferences as tasks.

    Args:
        preferences: List of floats, or `None`, which suits any number of tasks.
        num_tasks: Number of tasks.

    Raises:
        ValueError: If the numbers differ.
    """
    arguments.per_task("preferences", preferences, num_tasks)


def task_shares(preferences, num_tasks, present=None, dtype="float32"):
    """Return the weight of every task: its preference, or without any the same share.

    Args:
        preferences: List of `num_tasks` floats, or `None`.
        num_tasks: Number of tasks.
        present: Optional boolean tensor `[num_tasks]`; an absent task has weight 0. Defaults to all.
        dtype: Dtype of the result. Defaults to `"float32"`.

    Returns:
        Tensor `[num_tasks]`. Equal shares have sum 1 over the present tasks; preferences are as given.

    Example:

    >>> task_shares(None, 3, [True, False, True]).numpy()
    array([0.5, 0. , 0.5], dtype=float32)
    """
    shares = ops.ones(num_tasks, dtype) if preferences is None else ops.convert_to_tensor(preferences, dtype)
    if present is not None:
        shares = shares * ops.cast(present, dtype)
    return shares / ops.maximum(ops.sum(shares), 1.0) if preferences is None else shares
