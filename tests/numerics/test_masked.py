import keras
import numpy as np
import pytest

from mtl_zoo.numerics import masked

VALUES = np.array([1.0, -2.0, 0.5, 300.0], "float32")
PRESENT = np.array([True, True, True, False])


def test_everyone_is_present_unless_said_otherwise():
    np.testing.assert_array_equal(masked.everyone(None, 3), [True] * 3)
    np.testing.assert_array_equal(masked.everyone(np.array([1.0, 0.0]), 2), [True, False])


def test_softmax_is_that_of_the_present_tasks_alone():
    powers = np.exp(VALUES[:3].astype("float64"))
    expected = [*(powers / powers.sum()), 0.0]
    np.testing.assert_allclose(masked.softmax(VALUES, PRESENT), expected, rtol=1e-6)
    np.testing.assert_allclose(masked.softmax(VALUES, PRESENT.astype("float32")), expected, rtol=1e-6)


def test_logsumexp_is_that_of_the_present_tasks_alone():
    expected = np.log(np.exp(VALUES[:3].astype("float64")).sum())
    np.testing.assert_allclose(masked.logsumexp(VALUES, PRESENT.astype("float32")), expected, rtol=1e-6)


@pytest.mark.parametrize("values", [VALUES, -VALUES, np.full(4, 1e8, "float32")])
def test_nobody_present_is_zero(values):
    nobody = np.zeros(4, "float32")
    np.testing.assert_array_equal(masked.softmax(values, nobody), np.zeros(4))
    assert float(masked.logsumexp(keras.ops.convert_to_tensor(values), nobody)) == 0.0
