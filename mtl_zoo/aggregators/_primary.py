"""The task that a method serves, while the others help: given by its place or its name."""

from mtl_zoo import arguments
from mtl_zoo.validation import check_name


def checked(primary):
    """Return the place or the name of the primary task, checked as far as it can be without the tasks.

    Raises:
        ValueError: If it is neither an integer of at least 0 nor what a task may be called.
    """
    if not isinstance(primary, str):
        return arguments.integer("primary", primary, 0)
    try:
        check_name(primary)
    except ValueError as error:
        raise ValueError(
            f"`primary` must be the index or the name of a task. Received: primary={primary!r}"
        ) from error
    return primary


def place(primary, names):
    """Return the place of the primary task among the names of the tasks.

    Raises:
        ValueError: If it was given by a name that is not there.
    """
    if not isinstance(primary, str):
        return primary
    if primary not in names:
        raise ValueError(f"`primary` must be one of the tasks {list(names)}. Received: primary={primary!r}")
    return list(names).index(primary)


def check_place(primary, num_tasks):
    """Raise an error unless the primary task is one of so many, given by its place.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(primary, str):
        raise ValueError(f"`primary` by name must be given to a `Trainer`. Received: primary={primary!r}")
    if primary >= num_tasks:
        raise ValueError(f"`primary` must be below the number of tasks, {num_tasks}. Received: {primary}")
