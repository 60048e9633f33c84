import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training.finite import all_finite, bad_squares, bad_tasks, not_finite

IN_GRAPHS = pytest.mark.parametrize("way", [lambda f: f, tf.function], ids=["eager", "graph"])


@IN_GRAPHS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_finds_one_number_among_all(value, way):
    @way
    def found(gradient):
        return not_finite([None, tf.ones((2, 3)), tf.IndexedSlices(gradient, [0], [4, 2])])

    assert found(tf.constant([[1.0, value]]))
    assert not found(tf.constant([[1.0, 2.0]]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2e18])
def test_bad_tasks_are_those_with_one_bad_number(value):
    columns = [(None, tf.constant([0.0, value]), None), (tf.ones(2), None, None)]
    np.testing.assert_array_equal(bad_tasks(columns, 3), [False, True, False])
    stacked = tf.constant([[1.0, 2.0], [3.0, 4.0], [value, 0.0]])
    np.testing.assert_array_equal(bad_tasks([*columns, stacked], 3), [False, True, True])


def test_a_sparse_gradient_is_looked_at_too():
    columns = [(tf.IndexedSlices(tf.constant([[np.nan]]), [0], [4, 1]), None)]
    np.testing.assert_array_equal(bad_tasks(columns, 2), [True, False])
    np.testing.assert_array_equal(bad_tasks([], 2), [False, False])


@IN_GRAPHS
def test_squares_and_numbers(way):
    squares = tf.constant([0.0, 9e35, 2e36, np.inf, np.nan])
    np.testing.assert_array_equal(way(bad_squares)(squares), [0, 0, 1, 1, 1])
    assert all_finite([tf.ones(2), tf.zeros(())])
    assert not all_finite([tf.ones(2), tf.constant([1.0, np.inf])])
