"""The normalized discounted cumulative gain within groups."""

import numpy as np

from mtl_zoo import arguments
from mtl_zoo.evaluation._rows import labelled


def ndcg(labels, scores, groups, k=None):
    """Return the mean over groups of the normalized discounted cumulative gain, with gains `2^label - 1`.

    Groups in which every label is 0 have nothing to put first and are left out. Rows of one score share the
    discounts of their places, so that the order of the table does not matter.

    Args:
        labels: Array `[rows]` or `[rows, 1]` of relevances of at least 0; below 0 or NaN is missing.
        scores: Array likewise, of predictions.
        groups: Array likewise: the user, query or session of each row, as numbers or strings.
        k: Number of places that count. Defaults to `None`: all.

    Returns:
        Float; NaN if no group has a label above 0.

    Raises:
        ValueError: If the arrays are not of one length, a label is infinite, a score is not finite, or `k`
            is not a positive integer.

    Example:

    >>> round(ndcg([0, 1, 1, 0], [0.9, 0.1, 0.8, 0.2], ["a", "a", "b", "b"]), 4)  # 1/log2(3) and 1
    0.8155

    Reference:
        [Burges et al., 2005](https://doi.org/10.1145/1102351.1102363), section 5
    """
    k = arguments.integer("k", arguments.EXAMPLES if k is None else k, 1, arguments.EXAMPLES)
    found, ideal = (_gains(labelled(labels, by, groups, descending=True), k) for by in (scores, labels))
    known = ideal > 0
    return float(np.mean(found[known] / ideal[known])) if known.any() else float("nan")


def _gains(rows, k):
    """Return the discounted cumulative gains of groups, divided by `2^m` of the largest label `m` of each."""
    place = np.arange(len(rows.groups)) - np.searchsorted(rows.groups, rows.groups)
    discounts = np.where(place < k, 1.0 / np.log2(2.0 + place), 0.0)
    shared = np.bincount(rows.ties, discounts) / np.bincount(rows.ties)
    largest = np.zeros(len(rows.groups))
    np.maximum.at(largest, rows.groups, rows.labels)
    largest = largest[rows.groups]
    gains = 2.0 ** (rows.labels - largest) - 2.0**-largest  # that divided so, none overflows
    return np.bincount(rows.groups, gains * shared[rows.ties])
