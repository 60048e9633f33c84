import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training.finite import all_finite, bad_rows, bad_squares, not_finite

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
def test_bad_rows_are_those_with_one_bad_number(value):
    rows = [[None, tf.ones(2)], [tf.constant([0.0, value]), None], [None, None]]
    np.testing.assert_array_equal(bad_rows(rows), [False, True, False])


@IN_GRAPHS
def test_squares_and_numbers(way):
    squares = tf.constant([0.0, 9e35, 2e36, np.inf, np.nan])
    np.testing.assert_array_equal(way(bad_squares)(squares), [0, 0, 1, 1, 1])
    assert all_finite([tf.ones(2), tf.zeros(())])
    assert not all_finite([tf.ones(2), tf.constant([1.0, np.inf])])
