"""How much of the space of trade-offs a set of models covers, and which of them no other one beats."""

import numpy as np

from mtl_zoo import arguments
from mtl_zoo.extras import check_installed


def hypervolume(points, reference, signs):
    """Return the volume between a reference and the points: what at least one point is better than.

    Args:
        points: Array `[points, objectives]`, one row per model.
        reference: One number per objective, worse than those of the points. Points that are not better than
            it in every objective add nothing.
        signs: Per objective 1 if more is better and -1 if less, as `headline_metrics` returns them.

    Returns:
        Float, in the product of the objectives' units.

    Raises:
        ValueError: If numbers are not finite or shapes do not belong together.
        ImportError: If the package `moocore` is not installed.

    Reference:
        [Zitzler and Thiele, 1998](https://doi.org/10.1007/BFb0056872)

    Example:

    >>> points = [[0.9, 2.0], [0.8, 1.0]]  # accuracy and error
    >>> round(hypervolume(points, [0.5, 3.0], [1, -1]), 6)  # 0.4 * 1 + 0.3 * 1
    0.7
    """
    points, maximise = _checked(points, signs)
    reference = arguments.per_task("reference", arguments.numbers("reference", reference), len(maximise))
    return float(_moocore().hypervolume(points, ref=reference, maximise=maximise))


def pareto_front(points, signs):
    """Return which points no other one beats: is at least as good in all objectives and better in one.

    Args:
        points: As for `hypervolume`.
        signs: As for `hypervolume`.

    Returns:
        Boolean array `[points]`; equal points are on the front together.

    Raises:
        ValueError: As for `hypervolume`.
        ImportError: As for `hypervolume`.

    Example:

    >>> pareto_front([[0.9, 2.0], [0.8, 1.0], [0.7, 1.5]], [1, -1]).tolist()
    [True, True, False]
    """
    points, maximise = _checked(points, signs)
    return np.asarray(_moocore().is_nondominated(points, maximise=maximise, keep_weakly=True))


def _checked(points, signs):
    """Return points as an array, and per objective whether more of it is better."""
    if not set(arguments.numbers("signs", signs)) <= {1, -1}:
        raise ValueError(f"`signs` must be 1 where more is better, and -1. Received: signs={signs}")
    found = np.array(points, "float64", ndmin=1)
    if found.ndim != 2 or not len(found) or found.shape[1] != len(signs) or not np.isfinite(found).all():
        raise ValueError(
            f"`points` must be finite numbers [points, {len(signs)}], one column per sign. "
            f"Received: points={points!r}"
        )
    return found, [sign > 0 for sign in signs]


def _moocore():
    check_installed("moocore", "Hypervolumes and Pareto fronts need", "evaluation")
    import moocore

    return moocore
