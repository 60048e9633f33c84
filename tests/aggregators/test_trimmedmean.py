import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from mtl_zoo.aggregators import Mean, TrimmedMean
from mtl_zoo.training.aggregation import join
from mtl_zoo.training.columns import of_rows
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(TrimmedMean)


@pytest.mark.parametrize("trim", [0, 1, 2, 3])
def test_equals_scipy(trim):
    jacobian = np.random.default_rng(0).normal(size=(8, 20))
    expected = scipy.stats.trim_mean(jacobian, trim / 8, axis=0)
    assert_close(TrimmedMean(trim)(jacobian), expected, "direction")


def test_three_tasks_give_the_median():
    jacobian = np.random.default_rng(0).normal(size=(3, 20))
    assert_close(TrimmedMean()(jacobian), np.median(jacobian, axis=0), "direction")


@pytest.mark.parametrize("num_tasks", [1, 2])
def test_one_or_two_tasks_give_the_mean(num_tasks):
    jacobian = np.random.default_rng(0).normal(size=(num_tasks, 5))
    assert_close(TrimmedMean()(jacobian), jacobian.mean(axis=0), "direction")


def test_large_trim_gives_the_median():
    jacobian = np.random.default_rng(0).normal(size=(6, 20))
    assert_close(TrimmedMean(10)(jacobian), np.median(jacobian, axis=0), "direction")


def test_no_trim_equals_mean():
    jacobian = np.random.default_rng(0).normal(size=(4, 5))
    assert_close(TrimmedMean(0)(jacobian), Mean()(jacobian), "direction")


def test_absent_tasks_do_not_count():
    jacobian = np.array([[1.0, -9.0], [0.0, 0.0], [3.0, -7.0], [5.0, -5.0], [9.0, 5.0]])
    present = np.array([True, False, True, True, True])
    np.testing.assert_allclose(TrimmedMean()(jacobian, None, present), [4.0, -6.0])


def test_tasks_that_do_not_reach_a_variable_have_no_vote():
    rows = [[tf.constant([1.0]), tf.constant([5.0, -8.0])], [tf.constant([4.0]), tf.constant([7.0, -4.0])]]
    rows += [[tf.constant([6.0]), None], [tf.constant([9.0]), None]]
    wide, narrow = join(of_rows(rows), 4, TrimmedMean(), [1.0] * 4).gradients
    np.testing.assert_allclose(wide, [5.0])
    np.testing.assert_allclose(narrow, [6.0, -6.0])


def test_the_size_may_be_unknown():
    signature = [tf.TensorSpec((3, None))]
    function = tf.function(TrimmedMean(), input_signature=signature)
    np.testing.assert_allclose(function(np.array([[1.0], [2.0], [9.0]], "float32")), [2.0])


def test_trim_must_not_be_negative():
    with pytest.raises(ValueError, match=r"`trim` must be an integer of at least 0. Received: trim=-1"):
        TrimmedMean(trim=-1)
