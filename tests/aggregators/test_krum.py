import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.aggregators import Krum
from mtl_zoo.training.aggregation import join
from mtl_zoo.training.columns import of_rows
from tests.harness import assert_close, check_aggregator


def reference(jacobian, num_byzantine, num_selected):
    distances = ((jacobian[:, None] - jacobian[None]) ** 2).sum(axis=2)
    nearest = max(len(jacobian) - num_byzantine - 2, 1)
    scores = np.sort(distances, axis=1)[:, 1 : 1 + nearest].sum(axis=1)  # column 0 is the gradient itself
    return jacobian[np.argsort(scores)[:num_selected]].mean(axis=0)


def test_contract():
    # two of three gradients are each other's neighbours: a tie, in which the order of tasks decides
    check_aggregator(Krum, permutation_invariant=False)


def test_contract_without_ties():
    check_aggregator(lambda: Krum(num_selected=2), any_num_tasks=False)


@pytest.mark.parametrize(("num_byzantine", "num_selected"), [(0, 1), (1, 2), (2, 4)])
def test_equals_the_definition(num_byzantine, num_selected):
    jacobian = np.random.default_rng(0).normal(size=(7, 20))
    expected = reference(jacobian, num_byzantine, num_selected)
    assert_close(Krum(num_byzantine, num_selected)(jacobian), expected, "direction")


def test_outlier_is_not_selected():
    jacobian = np.array([[1.0, 1.0], [1.2, 1.0], [-1e3, 1e3], [1.0, 1.3]])
    aggregator = Krum(num_byzantine=1, num_selected=3)
    np.testing.assert_allclose(aggregator(jacobian), jacobian[[0, 1, 3]].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(aggregator.task_weights, [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)


def test_scores_by_hand():
    # squared distances on a line, two neighbours each: 1 + 9, 1 + 4, 4 + 9, 36 + 64 of 0, 1, 3, 9
    np.testing.assert_allclose(Krum()(np.array([[0.0], [1.0], [3.0], [9.0]])), [1.0])


@pytest.mark.parametrize("num_tasks", [1, 2])
def test_few_tasks(num_tasks):
    jacobian = np.random.default_rng(0).normal(size=(num_tasks, 4))
    assert_close(Krum()(jacobian), jacobian[0], "the first of equals")


def test_absent_tasks_are_no_neighbours():
    jacobian = np.array([[5.0], [0.0], [7.0], [0.0], [6.5]])
    aggregator, present = Krum(), np.array([True, False, True, False, True])
    np.testing.assert_allclose(aggregator(jacobian, None, present), [7.0])  # 2.25, 0.25, 0.25: the first
    aggregator = Krum(num_selected=4)
    np.testing.assert_allclose(aggregator(jacobian, None, present), [18.5 / 3], rtol=1e-6)


def test_tasks_that_do_not_reach_a_variable_have_no_vote():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(size=(4, 6)), 100 * rng.normal(size=(2, 3))
    rows = [[g, None if t > 1 else narrow[t]] for t, g in enumerate(wide.astype("float32"))]
    rows = [[None if g is None else tf.constant(g, "float32") for g in row] for row in rows]
    aggregator = Krum(num_selected=2)
    aggregator.build((4, None))
    found = join(of_rows(rows), 4, aggregator, [1.0] * 4).gradients
    assert_close(found[0], reference(wide, 0, 2), "of all tasks")
    assert_close(found[1], narrow.mean(axis=0), "of two tasks")
    distances = np.linalg.norm(wide - reference(wide, 0, 2), axis=1)
    assert (np.array(aggregator.task_weights) > 0)[np.argmin(distances)]  # the weights of the widest set
    found = join(of_rows(rows), 4, aggregator, [1.0] * 4, tf.constant([False, True, True, True])).gradients
    assert_close(found[1], narrow[1], "of the one that is present")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"num_byzantine": -1},
            "must be an integer of at least 0. Received: num_byzantine=-1",
        ),
        ({"num_selected": 0}, "`num_selected` must be an integer of at least 1. Received: num_selected=0"),
        ({"num_selected": 3}, "at most the number of tasks, 2. Received: num_selected=3"),
    ],
)
def test_mistakes(arguments, message):
    with pytest.raises(ValueError, match=message):
        Krum(**arguments)(np.eye(2))
