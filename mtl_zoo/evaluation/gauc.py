"""The area under the ROC curve within groups."""

import numpy as np

from mtl_zoo.evaluation._rows import labelled


def gauc(labels, scores, groups, sample_weight=None):
    """Return the mean over groups of the area under the ROC curve, in which a group counts by its rows.

    Whether a user clicks at all is easier to know than what the user clicks. The area over all rows rewards
    the former; within every user's rows only the latter counts. Groups whose labels are all alike have no
    area and are left out. Rows of one score count one half, as in the whole area.

    Args:
        labels: Array `[rows]` or `[rows, 1]` of numbers from 0 to 1; below 0 or NaN is missing.
        scores: Array likewise, of predictions or logits.
        groups: Array likewise: the user, query or session of each row, as numbers or strings.
        sample_weight: Array likewise, by which rows count. Defaults to 1 for all.

    Returns:
        Float; NaN if no group has both labels.

    Raises:
        ValueError: If the arrays are not of one length, a label is above 1, a score is not finite, or a
            weight is negative.

    Example:

    >>> gauc([1, 0, 1, 0, 0, -1], [0.9, 0.8, 0.2, 0.3, 0.1, 0.5], ["a", "a", "b", "b", "b", "b"])
    0.7

    Reference:
        [Zhu et al., 2017](https://arxiv.org/abs/1703.02091)
    """
    rows = labelled(labels, scores, groups, sample_weight)
    if not len(rows.labels):
        return float("nan")
    if rows.labels.max() > 1:
        raise ValueError(f"`labels` must be at most 1. Received: {rows.labels.max()} among them")
    positives = np.bincount(rows.ties, rows.weights * rows.labels)
    negatives = np.bincount(rows.ties, rows.weights * (1 - rows.labels))
    group = rows.groups[np.unique(rows.ties, return_index=True)[1]]
    all_positives, all_negatives = np.bincount(group, positives), np.bincount(group, negatives)
    before = np.cumsum(negatives) - (np.cumsum(all_negatives) - all_negatives)[group]
    in_order = np.bincount(group, positives * (before - negatives / 2))
    pairs = all_positives * all_negatives
    known = pairs > 0
    if not known.any():
        return float("nan")
    sizes = (all_positives + all_negatives)[known]
    return float(np.average(in_order[known] / pairs[known], weights=sizes))
