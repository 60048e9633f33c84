"""What training together was worth, out of the results of pairs of tasks."""

import numpy as np

from mtl_zoo import arguments
from mtl_zoo.relations.task_matrix import TaskMatrix, different, square


def gains(results, names, signs=None):
    """Return how much better every task was when trained together with another one, a `TaskMatrix`.

    The gain of task j with task i is `sign_j * (results[i, j] - results[j, j]) / |results[j, j]|`.

    Args:
        results: Array `[T, T]` of a metric: row i, column j is that of task j when it was trained together
            with task i, and the diagonal that of each task alone. NaN where it was not measured.
        names: Names of the T tasks.
        signs: One number per task: 1 where more is better, -1 where less is. Defaults to 1 for all.

    Returns:
        `TaskMatrix` with 0 on its diagonal.

    Raises:
        ValueError: If something is not as above, or the result of a task alone is 0 or not known.

    Example:

    >>> found = gains([[0.8, 9.0], [0.6, 10.0]], ("auc", "error"), signs=(1, -1))
    >>> round(float(found.of("auc", "error")), 3), round(float(found.of("error", "auc")), 3)
    (0.1, -0.25)
    """
    names = different(names)
    results = square("results", results, len(names))
    signs = [1] * len(names) if signs is None else list(arguments.integers("signs", signs, -1, 1))
    if len(signs) != len(names) or not all(signs):
        raise ValueError(f"`signs` must be 1 or -1 for each of {names}. Received: signs={signs}")
    alone = np.diag(results)
    if not (np.isfinite(alone) & (alone != 0)).all():
        raise ValueError(
            "`results` must have the result of each task alone on its diagonal, and none of them 0: nothing "
            f"is a share of it. Received: {alone.tolist()}"
        )
    return TaskMatrix(names, signs * (results - alone) / np.abs(alone), "gain")
