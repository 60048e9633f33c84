"""Rows of a table of answers, in groups."""

from typing import NamedTuple

import numpy as np


class Rows(NamedTuple):
    """The labelled rows, in the order of their groups and within those of their scores.

    Args:
        labels: Array `[rows]`.
        scores: Array `[rows]`.
        groups: Array `[rows]` of the numbers of the groups, from 0 on.
        ties: Array `[rows]` of the numbers of the sets of rows of one group and one score, from 0 on.
        weights: Array `[rows]`.
    """

    labels: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    ties: np.ndarray
    weights: np.ndarray


def labelled(labels, scores, groups, sample_weight=None, descending=False):
    """Return the rows whose label is there and whose weight is not 0, as `Rows`.

    Args:
        labels: Array `[rows]` or `[rows, 1]`; below 0 or NaN is missing.
        scores: Array likewise.
        groups: Array likewise, of anything that can be sorted: numbers, strings.
        sample_weight: Array likewise. Defaults to 1 for all.
        descending: Whether the largest score of a group comes first. Defaults to `False`.

    Raises:
        ValueError: If the arrays are not of one length, or a label, a score or a weight is not what it must
            be.
    """
    labels, scores = _column("labels", labels, float), _column("scores", scores, float)
    weights = np.ones(len(labels)) if sample_weight is None else sample_weight
    weights, groups = _column("sample_weight", weights, float), _column("groups", groups)
    labels, scores, groups, weights = _there(labels, scores, groups, weights)
    groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((-scores if descending else scores, groups))
    labels, scores, groups, weights = (x[order] for x in (labels, scores, groups, weights))
    is_next = (np.diff(groups) != 0) | (np.diff(scores) != 0)
    return Rows(labels, scores, groups, np.append(0, np.cumsum(is_next))[: len(labels)], weights)


def _there(labels, scores, groups, weights):
    """Return the labelled rows of columns, which are checked."""
    lengths = [len(x) for x in (labels, scores, groups, weights)]
    if len(set(lengths)) > 1:
        raise ValueError(
            "`labels`, `scores`, `groups` and `sample_weight`, which defaults to 1 for every label, must be "
            f"of one length. Received: {lengths}"
        )
    there = (labels >= 0) & (weights != 0)
    if np.isinf(labels[there]).any():
        raise ValueError("`labels` must be finite. Received: infinite ones")
    if not np.isfinite(scores[there]).all():
        raise ValueError("`scores` must be finite where there are labels. Received: NaN or infinite ones")
    if not (weights >= 0).all():
        raise ValueError(f"`sample_weight` must not be negative. Received: {weights.min()} among them")
    return (x[there] for x in (labels, scores, groups, weights))


def _column(name, values, dtype=None):
    array = np.asarray(values, dtype)
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
        raise ValueError(f"`{name}` must have shape [rows] or [rows, 1]. Received: shape={array.shape}")
    return array.reshape(-1)
