"""The best network for tasks that it is to serve, and the best division of all tasks by it."""

import functools
import heapq

import numpy as np

WIDTH = 32  # of the beam


def best_network(values, served):
    """Return the tasks that a network trains best for some of them, and what these receive in it.

    Every task of a network of n receives the mean of n - 1 affinities, so that the tasks served receive in
    sum what all others give to them, divided by n - 1: the best helpers are those that give most.

    Args:
        values: Array `[T, T]`, 0 on the diagonal.
        served: List of tasks, by their indices.

    Returns:
        Tuple of the sum over the tasks served of the mean affinity of the others onto them, 0 for a task
        alone; and a sorted list of all tasks that are trained, as few as reach it.
    """
    given = values[:, served].sum(axis=1)
    rest = np.setdiff1d(np.arange(len(values)), served)
    helpers = rest[np.argsort(-given[rest], kind="stable")]
    totals = given[served].sum() + np.concatenate([[0.0], np.cumsum(given[helpers])])
    sizes = np.arange(len(served), len(values) + 1)
    scores = np.where(sizes > 1, totals / np.maximum(sizes - 1, 1), 0.0)
    number = int(np.argmax(scores >= scores.max() - _slack(values)))
    return float(scores[number]), sorted([*map(int, served), *map(int, helpers[:number])])


def divide_exactly(values, budget):
    """Return the best division of tasks among networks, by dynamic programming over all sets of tasks.

    The best division of a set serves its first task in some network, together with some others of the set,
    and divides the rest in the best way.

    Args:
        values: As in `best_network`, of up to about 12 tasks.
        budget: Largest number of networks.

    Returns:
        List of lists of tasks that are served together; as few as reach the best.
    """
    sets = np.arange(2 ** len(values))
    score = np.array([0.0, *(best_network(values, _members(each))[0] for each in sets[1:])])
    best = np.full((budget + 1, len(sets)), -np.inf)
    best[:, 0] = 0.0
    first = np.zeros(best.shape, int)
    for each in sets[1:]:
        below = sets[1 : each + 1]
        parts = below[(below & ~each == 0) & (below & each & -each > 0)]
        totals = score[parts] + best[:-1, each ^ parts]
        choice = np.argmax(totals, axis=1)
        first[1:, each] = parts[choice]
        best[1:, each] = totals[np.arange(budget), choice]
    number = int(np.argmax(best[:, -1] >= best[budget, -1] - _slack(values)))
    return _walk(first, number, sets[-1])


def divide_by_beam(values, budget):
    """Return a good division of tasks among networks: a beam search, whose answers are improved by
    moves of single tasks.

    Args:
        values: As in `best_network`, of any number of tasks.
        budget: Largest number of networks.

    Returns:
        As `divide_exactly`.
    """
    score = functools.cache(lambda served: best_network(values, list(served))[0])

    def total(division):
        return sum(map(score, division))

    beam = {()}
    for task in range(len(values)):
        grown = {_with(division, task, place) for division in beam for place in _places(division, budget)}
        beam = heapq.nlargest(WIDTH, sorted(grown), key=total)
    improved = (_improved(division, len(values), budget, total) for division in beam)
    return list(map(list, max(improved, key=total)))


def _improved(division, number, budget, total):
    """Return a division in which no task is better moved to another network."""
    before = None
    while division != before:
        before = division
        for task in range(number):
            rest = _without(division, task)
            moved = (_with(rest, task, place) for place in _places(rest, budget))
            division = max(division, *moved, key=total)  # the one before if none is better
    return division


def _members(number):
    """Return the tasks of a set, a binary number."""
    return [index for index in range(int(number).bit_length()) if number >> index & 1]


def _walk(first, number, tasks):
    division = []
    while tasks:
        part = first[number, tasks]
        division.append(_members(part))
        number, tasks = number - 1, tasks ^ part
    return division


def _places(division, budget):
    """Return where a task may go: to the tasks of a network, or to one of its own."""
    return range(min(len(division) + 1, budget))


def _with(division, task, place):
    parts = [*division, ()] if place == len(division) else list(division)
    parts[place] = tuple(sorted((*parts[place], task)))
    return tuple(sorted(parts))


def _without(division, task):
    parts = (tuple(other for other in part if other != task) for part in division)
    return tuple(part for part in parts if part)


def _slack(values):
    """Return how far apart numbers are that only rounding sets apart."""
    return 1e-12 * np.abs(values).sum()
