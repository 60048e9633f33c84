import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training import columns, mapping

TABLE, KERNEL, OTHER = tf.Variable(tf.ones((5, 2))), tf.Variable([[2.0], [3.0]]), tf.Variable(1.0)
VARIABLES = [TABLE, KERNEL, OTHER]


def gradients(row):
    slices = tf.IndexedSlices(row * tf.ones((2, 1)), tf.constant([4, 1]), tf.constant([5, 2]))
    return [slices, 10.0 * row[:, tf.newaxis], None]


@pytest.mark.parametrize(("tasks", "variables", "expected"), [(4, 99, False), (5, 16, False), (5, 17, True)])
def test_pays(tasks, variables, expected):
    assert mapping.pays(tasks, variables) == expected


@pytest.mark.parametrize("num_parts", [1, 2])
def test_columns(num_parts):
    given = [tf.reshape(tf.range(6.0 * num_parts), (3 * num_parts, 2))]
    traced = mapping.trace(gradients, given)
    slices, kernel, other = mapping.columns(traced, given, VARIABLES, 3, num_parts)
    assert other == (None,) * 3
    assert columns.are_stacked(kernel)
    rows = np.reshape(given[0], (3, num_parts, 2))
    np.testing.assert_array_equal(np.reshape(kernel, rows.shape), 10.0 * rows)
    for task in range(3):
        np.testing.assert_array_equal(slices[task].indices, [4, 1])
        expected = rows[task][np.newaxis].repeat(2, axis=0)
        np.testing.assert_array_equal(np.reshape(slices[task].values, expected.shape), expected)
        assert slices[task].dense_shape.numpy().tolist() == [5, *[num_parts] * (num_parts > 1), 2]


def test_nothing_that_is_reached():
    given = [tf.ones((3, 2))]
    traced = mapping.trace(lambda row: [None, None], given)
    assert mapping.columns(traced, given, VARIABLES[:2], 3, 1) == [(None,) * 3] * 2
