"""Stages, divided over levels of experts."""

from mtl_zoo import arguments


def levels(stages, num_levels=None):
    """Divide stages over levels as evenly as possible, the earlier ones taking what is over.

    Args:
        stages: List of stages.
        num_levels: Number of levels. Defaults to `None`: 2, or 1 if there is one stage.

    Returns:
        List of one list of stages per level, each of at least one.

    Raises:
        ValueError: If there are fewer stages than levels.
    """
    number = min(2, len(stages)) if num_levels is None else num_levels
    number = arguments.integer("num_levels", number, 1, arguments.COPIES)
    if number > len(stages):
        raise ValueError(
            f"Every level must have a stage: there are {len(stages)} after those that all share. "
            f"Received: num_levels={number}"
        )
    size, over = divmod(len(stages), number)
    ends = [size * (index + 1) + min(index + 1, over) for index in range(number)]
    return [stages[start:end] for start, end in zip([0, *ends], ends, strict=False)]
