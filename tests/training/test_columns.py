import numpy as np
import tensorflow as tf

from mtl_zoo.training import columns

TENSOR = tf.constant([[1.0, 2.0], [3.0, 4.0]])


def test_a_column_is_a_tuple_or_one_tensor():
    first, second = columns.of_rows([[TENSOR[0], None], [TENSOR[1], TENSOR[0]]])
    assert columns.reach(first, 2) == columns.reach(TENSOR, 2) == (True, True)
    assert columns.reach(second, 2) == (False, True)
    assert [columns.are_stacked(x) for x in (first, second, TENSOR)] == [False, False, True]


def test_a_column_is_unstacked():
    gradients = columns.unstacked(TENSOR, 2)
    assert columns.unstacked(gradients, 2) is gradients
    np.testing.assert_array_equal(gradients, TENSOR)
