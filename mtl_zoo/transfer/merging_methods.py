"""Formulas that make one update of what several trainings changed, on arrays alone.

An update is what a training added to a weight. All T of one weight stand in an array `[T, *shape]`; where it
is a linear map they are matrices `[T, inputs, outputs]`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mtl_zoo.transfer import weight_matrices

KEPT = 0.2  # fraction of a model's updates that TIES keeps
STEPS = 300  # of the descent in WUDI, as in its authors' code


class Method(NamedTuple):
    """A way to merge.

    Args:
        combine: Function from a list of updates, an array `[T, *shape]` per weight, and the list of the axes
            of their inputs, as `weight_matrices.input_axes` returns it, to the list of merged updates.
        scale: What they are multiplied by before they are added to the weights, unless told otherwise.
    """

    combine: Callable
    scale: float


def average(updates):
    """Return the mean of updates `[T, ...]`: that of the weights, if all of it is added."""
    return np.mean(updates, axis=0)


def total(updates):
    """Return the sum of updates `[T, ...]`."""
    return np.sum(updates, axis=0)


def ties(updates, kept=KEPT):
    """Trim, elect a sign, and average what agrees with it.

    Of each model's updates the largest stay, by absolute value. The sign of an entry is that of the sum of
    what stays; its value is the mean of what stays there and has that sign.

    Args:
        updates: Array `[T, parameters]` of all that a model consists of.
        kept: Fraction that stays, at least one entry. Defaults to 0.2.

    Returns:
        Array `[parameters]`.

    Note:
        Where what stays adds up to exactly 0, the sign is that of most entries, as in the authors' code.

    Example:

    >>> ties(np.array([[3.0, -2.0, 0.1, 0.0], [1.0, 4.0, 0.0, 0.2]]), kept=0.5)
    array([2., 4., 0., 0.])

    Reference:
        [Yadav et al., 2023](https://arxiv.org/abs/2306.01708), algorithm 1
    """
    trimmed = np.stack([_trim(update, kept) for update in updates])
    signs = np.sign(trimmed.sum(axis=0))
    signs = np.where(signs == 0, np.sign(signs.sum()), signs)
    agreeing = np.where(trimmed * signs > 0, trimmed, 0.0)
    return agreeing.sum(axis=0) / np.maximum(np.count_nonzero(agreeing, axis=0), 1)


def tsv_m(updates):
    """Join the largest singular directions of every update, made orthogonal to one another.

    Each of T updates keeps 1/T of its rank, the left and the right singular vectors of all of them are
    replaced by the nearest orthonormal ones, and all keep their singular values.

    Args:
        updates: Array `[T, inputs, outputs]`.

    Returns:
        Array `[inputs, outputs]`.

    Note:
        The authors' code keeps nothing of a matrix whose smaller side is below T; here it is averaged.

    Reference:
        [Gargiulo et al., 2025](https://arxiv.org/abs/2412.00081), algorithm 1
    """
    rank = min(updates.shape[1:]) // len(updates)
    if rank == 0:
        return average(updates)
    left, values, right = np.linalg.svd(updates, full_matrices=False)
    left = _orthonormal(np.concatenate(left[:, :, :rank], axis=1))
    right = _orthonormal(np.concatenate(right[:, :rank], axis=0))
    return left * values[:, :rank].ravel() @ right


def iso_c(updates):
    """Sum updates and replace all singular values by their mean.

    Args:
        updates: Array `[T, inputs, outputs]`.

    Returns:
        Array `[inputs, outputs]`.

    Reference:
        [Marczak et al., 2025](https://arxiv.org/abs/2502.04959), section 4.1
    """
    left, values, right = np.linalg.svd(total(updates), full_matrices=False)
    return np.mean(values) * left @ right


def wudi(updates, steps=STEPS):
    """Descend from the sum of updates to one that differs least from each on the inputs of its task.

    A training changes a linear layer within the span of its inputs, so that the updates stand for them. What
    is made smaller is the sum over tasks of `||updates[t]^T (merged - updates[t])||^2 / ||updates[t]||^2`.

    Args:
        updates: Array `[T, inputs, outputs]`.
        steps: Number of steps of gradient descent, each as long as the curvature allows. Defaults to 300.

    Returns:
        Array `[inputs, outputs]`.

    Note:
        The authors' code takes 300 steps of Adam with a learning rate of 1e-5, which fits updates of one
        size. These are steps of gradient descent, which fit any, and all at once: in each singular direction
        of the problem the distance shrinks by a known factor. Infinitely many would end in the solution of
        the least squares next to the sum, which relies on directions of which updates tell nearly nothing.

    Reference:
        [Cheng et al., 2025](https://arxiv.org/abs/2503.08099), equation 12
    """
    norms = np.linalg.norm(updates, axis=(1, 2), keepdims=True)
    units = updates / np.where(norms > 0, norms, 1.0)
    start = total(updates)
    wanted = np.concatenate([unit.T @ (update - start) for unit, update in zip(units, updates, strict=True)])
    left, values, right = np.linalg.svd(np.concatenate(units, axis=1), full_matrices=False)
    positive = np.where(values > 0, values, 1.0)
    done = 1.0 - (1.0 - (values / positive[0]) ** 2) ** steps
    return start + left * (done / positive) @ (right @ wanted)


def _trim(update, kept):
    """Return the entries with the largest absolute values, 0 elsewhere."""
    sizes = np.abs(update)
    place = len(sizes) - max(int(kept * len(sizes)), 1)
    return np.where(sizes >= np.partition(sizes, place)[place], update, 0.0)


def _orthonormal(vectors):
    """Return the orthonormal vectors nearest to some, the solution of the Procrustes problem."""
    left, _, right = np.linalg.svd(vectors, full_matrices=False)
    return left @ right


def _each(updates, axes, of_matrices, of_others=average):
    """Merge weight by weight."""
    return [
        of_others(update) if inputs is None else weight_matrices.through(of_matrices, update, inputs)
        for update, inputs in zip(updates, axes, strict=True)
    ]


def _whole(updates, axes, of_vectors):
    """Merge all weights as one vector per model."""
    del axes
    merged = of_vectors(np.concatenate([update.reshape(len(update), -1) for update in updates], axis=1))
    ends = np.cumsum([update[0].size for update in updates])[:-1]
    parts = np.split(merged, ends)
    return [part.reshape(update.shape[1:]) for part, update in zip(parts, updates, strict=True)]


METHODS = {
    "average": Method(functools.partial(_each, of_matrices=average), 1.0),
    "task_arithmetic": Method(functools.partial(_each, of_matrices=total, of_others=total), 0.3),
    "ties": Method(functools.partial(_whole, of_vectors=ties), 1.0),
    "tsv_m": Method(functools.partial(_each, of_matrices=tsv_m), 1.0),
    "iso_c": Method(functools.partial(_each, of_matrices=iso_c), 1.0),
    "wudi": Method(functools.partial(_each, of_matrices=wudi), 1.0),
}
