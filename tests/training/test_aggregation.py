import numpy as np
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.aggregation import join
from mtl_zoo.training.columns import of_rows
from tests.training.test_gradients import PartsRecorder

ROWS = [
    [tf.constant([1.0, 2.0]), tf.constant([3.0]), None, None],
    [tf.constant([-2.0, 1.0]), None, tf.constant([4.0]), None],
    [None, None, None, tf.constant([5.0])],
]


def test_a_part_without_items_of_a_task_takes_the_gradient_of_all():
    row = tf.constant([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    shares = tf.constant([[0.25, 1 / 3], [0.0, 1 / 3], [0.75, 1 / 3]])
    aggregator = PartsRecorder()
    rows = [[row, None, row], [row, row, None]]
    found = join(of_rows(rows), 2, aggregator, [1.0, 1.0], shares=shares).gradients
    block = aggregator.given[0][0]
    np.testing.assert_allclose(block[:, 0], [[2.0, 0.0], [0.5, 0.75], [0.0, 1.0]])
    np.testing.assert_allclose(block[:, 1], row)
    np.testing.assert_allclose(found[1], [2 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(found[2], [0.5, 0.75])


def test_gradients_in_one_tensor_are_joined_as_others():
    random = np.random.default_rng(0)
    gradients = random.normal(size=(2, 3, 2, 2)).astype("float32")
    shares = tf.constant([[0.25, 1 / 3], [0.0, 1 / 3], [0.75, 1 / 3]])
    for aggregator, given, kind in (
        (mz.aggregators.UPGrad(), gradients[:, 0], {}),
        (PartsRecorder(), gradients, {"shares": shares}),
    ):
        columns = [tuple(tf.unstack(given)), tf.constant(given)]
        found = join(columns, 2, aggregator, [1.0, 1.0], **kind)
        np.testing.assert_allclose(found.gradients[1], found.gradients[0], rtol=1e-6)
        assert found.gradients[0].shape == (2, 2)


def test_what_is_joined_is_told():
    for aggregator in (mz.aggregators.MGDA(), mz.aggregators.Sum()):
        joined = join(of_rows(ROWS), 3, aggregator, [1.0] * 3)
        assert joined.tasks == [True, True, False]
        assert [float(g[0]) for g in joined.gradients[1:]] == [3.0, 4.0, 5.0]


def test_squares_are_those_of_what_is_joined():
    found = join(of_rows(ROWS), 3, mz.aggregators.MGDA(), [1.0] * 3)
    np.testing.assert_allclose(found.squares, [5.0, 5.0, 0.0])
    assert join(of_rows(ROWS), 3, mz.aggregators.Sum(), [1.0] * 3).squares is None
    assert join(of_rows(ROWS[2:]), 1, mz.aggregators.MGDA(), [1.0]).squares is None


def test_squares_of_all_calls_are_added_up():
    """Krum is called once for every set of tasks that reach the same."""
    rows = [[*row, tf.constant([1.0])] for row in ROWS]
    found = join(of_rows(rows), 3, mz.aggregators.Krum(), [1.0] * 3)
    np.testing.assert_allclose(found.squares, [6.0, 6.0, 1.0])


def test_squares_tell_whose_gradient_is_not_finite():
    for value in (np.nan, np.inf, 1e30):
        rows = [ROWS[0], [tf.constant([value, 1.0]), *ROWS[1][1:]], ROWS[2]]
        squares = join(of_rows(rows), 3, mz.aggregators.MGDA(), [1.0] * 3).squares
        np.testing.assert_array_equal(np.isfinite(squares), [True, False, True])
