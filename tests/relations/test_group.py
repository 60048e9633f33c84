import itertools
import sys

import numpy as np
import pytest

from mtl_zoo.relations import _networks
from mtl_zoo.relations.affinity import Affinity
from mtl_zoo.relations.group import group
from mtl_zoo.relations.task_matrix import TaskMatrix


def received(values, network):
    """Return what each task receives in a network, -inf if it is not in it; in the words of the paper."""
    row = np.full(len(values), -np.inf)
    for task in network:
        others = [other for other in network if other != task]
        row[task] = np.mean([values[other, task] for other in others]) if others else 0.0
    return row


def by_brute_force(values, budget):
    """Return the best score of all sets of networks."""
    tasks = range(len(values))
    networks = [x for size in tasks for x in itertools.combinations(tasks, size + 1)]
    rows = np.array([received(values, network) for network in networks])
    best = rows
    for _ in range(budget - 1):  # all pairs, then all triples, of which only those on the front can win
        best = np.maximum(best[:, np.newaxis], rows).reshape(-1, len(values))
        best = np.unique(best, axis=0)
    return best.mean(axis=1).max()


def check(found, values, budget):
    """Check that an answer is what it says; return its score."""
    tasks = range(len(values))
    assert len(found.groups) == len(found.serves) <= budget
    assert sorted(task for tasks in found.serves for task in tasks) == list(tasks)
    rows = np.array([received(values, network) for network in found.groups])
    for row, network, served in zip(rows, found.groups, found.serves, strict=True):
        assert set(served) <= set(network)
        assert list(network) == sorted(network)
        np.testing.assert_allclose(row[list(served)], rows.max(axis=0)[list(served)])
    np.testing.assert_allclose([found.affinities[task] for task in tasks], rows.max(axis=0))
    assert found.score == pytest.approx(rows.max(axis=0).mean())
    return found.score


@pytest.mark.parametrize(
    ("number", "budget"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1), (5, 3), (6, 2), (7, 2), (8, 2), (4, 9)]
)
def test_the_best_groups_are_those_of_brute_force(number, budget):
    for seed, shift in itertools.product(range(2), (-0.5, 0.0, 0.5)):
        values = np.random.default_rng(seed).normal(loc=shift, size=(number, number))
        score = check(group(values, budget), values, budget)
        assert score == pytest.approx(by_brute_force(values, min(budget, number)))


def test_a_task_helps_in_several_networks():
    matrix = TaskMatrix(("a", "b", "c"), [[0, 2, -1], [2, 0, 1], [-1, -1, 0]])
    found = group(matrix, budget=2)
    assert found.groups == (("a", "b"), ("b", "c"))
    assert found.serves == (("a", "b"), ("c",))
    assert found.affinities == {"a": 2.0, "b": 2.0, "c": 1.0}
    assert found.text().splitlines() == [
        "Network 1 trains a, b; serves a (2), b (2).",
        "Network 2 trains b, c; serves c (1).",
        "Mean affinity onto a task: 1.67.",
    ]


def test_a_task_that_all_others_harm_is_alone():
    values = np.array([[0, 1, -1], [1, 0, -1], [5, 5, 0]])
    assert group(values, 3).groups == ((0, 2), (1, 2), (2,))  # it helps the others all the same
    assert group(-np.ones((3, 3)), 3).groups == ((0,), (1,), (2,))


def test_no_more_networks_and_tasks_than_are_of_use():
    assert group(np.zeros((4, 4)), 3).groups == ((0, 1, 2, 3),)
    assert group(np.ones((4, 4)), 1).groups == ((0, 1, 2, 3),)
    blocks = np.kron(np.eye(2), np.ones((3, 3))) - 0.5
    assert group(blocks, 5).groups == ((0, 1, 2), (3, 4, 5))


def test_the_beam_finds_the_best_of_few_and_known_groups_of_many():
    for seed in range(4):
        values = np.random.default_rng(seed).normal(size=(8, 8))
        np.fill_diagonal(values, 0.0)
        divisions = [divide(values, 3) for divide in (_networks.divide_exactly, _networks.divide_by_beam)]
        exact, beam = (sum(_networks.best_network(values, x)[0] for x in found) for found in divisions)
        assert 0.95 * exact <= beam <= exact + 1e-9
    random = np.random.default_rng(0)
    values = np.kron(np.eye(3), np.ones((6, 6))) - 0.3 + 0.2 * random.normal(size=(18, 18))
    found = group(values, 3)
    check(found, values, 3)
    assert found.serves == tuple(tuple(range(start, start + 6)) for start in (0, 6, 12))


def test_twelve_tasks_are_divided_exactly(monkeypatch):
    module = sys.modules["mtl_zoo.relations.group"]  # behind the function of its name
    monkeypatch.setattr(module, "divide_by_beam", None)
    values = np.kron(np.eye(4), np.ones((3, 3))) - 0.5
    assert group(values, 4).groups == tuple(tuple(range(start, start + 3)) for start in (0, 3, 6, 9))


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        ([[1.0, 2.0]], "`affinity` must be a square matrix of numbers"),
        ([], "`affinity` must be a square matrix of numbers"),
        ("text", "`affinity` must be a square matrix of numbers"),
        ([[0.0, np.nan], [1.0, 0.0]], "Received: nan of 0 onto 1"),
        (TaskMatrix(("a", "b"), [[0, 1], [np.inf, 0]]), "Received: inf of 'b' onto 'a'"),
        (Affinity(), "must have been given to `Trainer.fit`"),
    ],
)
def test_what_is_no_matrix_is_refused(affinity, message):
    with pytest.raises(ValueError, match=message):
        group(affinity, 2)


@pytest.mark.parametrize("budget", [0, 1.5, None, True])
def test_a_budget_is_a_number_of_networks(budget):
    with pytest.raises(ValueError, match="`budget` must be an integer of at least 1"):
        group(np.zeros((2, 2)), budget)
