"""Clusters of tasks, out of numbers for pairs of them."""

import numpy as np


def average_linkage(values):
    """Join the two most similar clusters again and again, until all tasks are in one.

    Two tasks are as similar as the mean of both directions says; two clusters as the mean over their pairs.

    Args:
        values: Array `[T, T]`, finite but on its diagonal; the larger, the more similar.

    Returns:
        List of T - 1 merges: the numbers of two clusters and their similarity. Tasks are clusters 0 to T - 1,
        merge m makes cluster T + m.

    Example:

    >>> average_linkage(np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [5.0, 4.0, 0.0]]))
    [(0, 2, 4.0), (1, 3, 2.0)]
    """
    similarity = (values + values.T) / 2
    clusters = {index: [index] for index in range(len(values))}
    merges = []
    while len(clusters) > 1:
        pairs = [(one, other) for one in clusters for other in clusters if one < other]
        means = [similarity[np.ix_(clusters[one], clusters[other])].mean() for one, other in pairs]
        one, other = pairs[int(np.argmax(means))]
        merges.append((one, other, float(max(means))))
        clusters[len(values) + len(merges) - 1] = clusters.pop(one) + clusters.pop(other)
    return merges
