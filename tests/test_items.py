import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.items import comparable, expand_to, smallest, to_numbers
from mtl_zoo.items import is_missing as absent

NAN = np.nan


@pytest.mark.parametrize("way", [lambda f: f, tf.function], ids=["eager", "graph"])
def test_is_missing(way):
    is_missing = way(absent)
    np.testing.assert_array_equal(is_missing(tf.constant([0, -1, 3])), [False, True, False])
    np.testing.assert_array_equal(is_missing(tf.constant([0.0, -1.0, NAN])), [False, True, True])


def test_labels_have_room_for_every_class():
    assert to_numbers(np.array([200], "uint8")).dtype == "int64"
    assert to_numbers([True]).dtype == "int64"
    assert to_numbers(np.array([0.5], "float32")).dtype == "float32"
    array = np.array([1, 2])
    assert comparable(array)[1] is np
    assert comparable([1, 2])[1] is keras.ops


def test_weights_get_the_axes_that_labels_have():
    weights = tf.ones((2, 3, 4))
    assert expand_to(tf.ones(2), weights).shape == (2, 1, 1)
    assert expand_to(tf.ones((2, 3)), weights).shape == (2, 3, 1)
    assert expand_to(tf.ones((2, 1)), tf.ones(2)).shape == (2,)


def test_the_smallest_of_no_row_is_none():
    assert smallest(tf.zeros((0, 2))).shape == (0,)
    np.testing.assert_array_equal(smallest(tf.constant([[2.0, 1.0], [3.0, 4.0]])), [1.0, 3.0])
