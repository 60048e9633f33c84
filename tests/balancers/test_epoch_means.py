import keras
import numpy as np

from mtl_zoo.balancers import _epoch_means


def test_means_are_over_the_batches_in_which_a_task_is_present_and_begin_anew():
    means = _epoch_means.start(keras.layers.Layer(), (3,))
    _epoch_means.add(means, np.array([1.0, 8.0, 5.0]), np.array([1.0, 1.0, 0.0]))
    _epoch_means.add(means, np.array([3.0, 2.0, 5.0]), np.array([1.0, 0.0, 0.0]))
    for expected, seen in (([2.0, 8.0, 0.0], [True, True, False]), ([0.0] * 3, [False] * 3)):
        found, was_seen = _epoch_means.take(means)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(was_seen, seen)
