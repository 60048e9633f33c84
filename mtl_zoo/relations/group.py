"""Which tasks to train together."""

import dataclasses

import numpy as np

from mtl_zoo import arguments
from mtl_zoo.relations._networks import best_network, divide_by_beam, divide_exactly
from mtl_zoo.relations.affinity import Affinity
from mtl_zoo.relations.task_matrix import TaskMatrix, square

MOST_EXACT = 12  # tasks; all sets of more take too long
MOST_NETWORKS = 1_000


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Networks that serve all tasks; tasks are names, or indices where the matrix had none.

    Args:
        groups: Tuple of one tuple per network: the tasks that it trains.
        serves: Tuple of one tuple per network: those of its tasks whose predictions are taken from it. The
            others are its helpers. Every task is served by one network.
        affinities: Dictionary from each task to the mean affinity of the others onto it in the network that
            serves it.
    """

    groups: tuple
    serves: tuple
    affinities: dict

    @property
    def score(self):
        """The mean over all tasks of the affinity at which they are served."""
        return float(np.mean(list(self.affinities.values())))

    def text(self):
        """Return a line per network, and the score."""
        lines = []
        for number, (group, served) in enumerate(zip(self.groups, self.serves, strict=True), start=1):
            numbers = (f"{task} ({self.affinities[task]:.3g})" for task in served)
            trained = ", ".join(map(str, group))
            lines.append(f"Network {number} trains {trained}; serves {', '.join(numbers)}.")
        return "\n".join([*lines, f"Mean affinity onto a task: {self.score:.3g}."])


def group(affinity, budget):
    """Return the best division of tasks into networks, a `Grouping`.

    A task may be trained in several networks, as a helper of others, and is served by the one in which the
    mean affinity of the other tasks onto it is best. The division with the largest mean of these over all
    tasks is found: the best of all for up to 12 tasks, for more a good one, by a beam search. Of equally good
    ones it takes one with fewer networks, and with fewer tasks in them.

    Args:
        affinity: `TaskMatrix`, or `Affinity` after a training; or an array `[T, T]`: row i, column j is what
            task i does for task j, and the diagonal is left out.
        budget: Largest number of networks.

    Raises:
        ValueError: If the matrix is not square, or does not have a finite number for every pair.

    Example:

    >>> matrix = TaskMatrix(("a", "b", "c"), [[0, 2, -1], [2, 0, 1], [-1, -1, 0]])
    >>> found = group(matrix, budget=2)
    >>> found.groups, found.serves, round(found.score, 3)
    ((('a', 'b'), ('b', 'c')), (('a', 'b'), ('c',)), 1.667)

    Note:
        A task alone scores 0: nobody helps and nobody harms it. The program of the paper gives it -1,000,000,
        so that no network has one task unless it must.

    Reference:
        [Fifty et al., 2021](https://arxiv.org/abs/2109.04617)
    """
    budget = arguments.integer("budget", budget, 1, MOST_NETWORKS)
    affinity = affinity.matrix if isinstance(affinity, Affinity) else affinity
    values = square("affinity", affinity)
    names = affinity.names if isinstance(affinity, TaskMatrix) else range(len(values))
    values[np.eye(len(values), dtype=bool)] = 0.0
    for one, other in np.argwhere(~np.isfinite(values)):
        raise ValueError(
            "`affinity` must have a finite number for every pair of tasks, such as two that have labels in "
            f"the same batch. Received: {values[one, other]} of {names[one]!r} onto {names[other]!r}"
        )
    divide = divide_exactly if len(values) <= MOST_EXACT else divide_by_beam
    served = sorted(divide(values, min(budget, len(values))))
    return _named(values, names, served, [best_network(values, tasks)[1] for tasks in served])


def _named(values, names, served, trained):
    """Return tasks that are served and those that are trained for them as a `Grouping`."""
    received = {
        task: float(values[network, task].sum()) / max(len(network) - 1, 1)
        for tasks, network in zip(served, trained, strict=True)
        for task in tasks
    }
    groups, serves = (
        tuple(tuple(names[task] for task in tasks) for tasks in division) for division in (trained, served)
    )
    return Grouping(groups, serves, {names[task]: received[task] for task in range(len(names))})
