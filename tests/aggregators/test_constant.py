import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.aggregators import Constant, Sum
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(lambda: Constant([0.5, 2.0, 1.0]), permutation_invariant=False, any_num_tasks=False)


def test_weighted_sum_by_hand():
    np.testing.assert_allclose(Constant((3, 0.5))(np.array([[1.0, 0.0], [2.0, 4.0]])), [4.0, 2.0])


def test_equal_weights_are_the_sum():
    jacobian = np.random.default_rng(0).normal(size=(3, 5))
    assert_close(Constant([1, 1, 1])(jacobian), Sum()(jacobian), "direction")


def test_tasks_and_weights_may_be_permuted_together():
    jacobian, weights, order = np.random.default_rng(0).normal(size=(3, 5)), np.array([1.0, 2, 3]), [2, 0, 1]
    moved = Constant(weights[order])(jacobian[order])
    assert_close(moved, Constant(weights)(jacobian), "direction")


def test_weights_may_change_in_a_compiled_step():
    aggregator, jacobian = Constant([1.0, 3.0]), tf.constant([[1.0, 0.0], [1.0, 2.0]])
    aggregator.build((2, 2))
    step = tf.function(lambda: aggregator(jacobian), jit_compile=True)
    np.testing.assert_array_equal(step(), [4.0, 6.0])
    aggregator.task_weights.assign([0.5, 0.0])
    np.testing.assert_array_equal(step(), [0.5, 0.0])
    assert [variable.name for variable in aggregator.weights] == ["task_weights"]
    assert aggregator.trainable_variables == []


def test_weights_must_not_be_negative():
    with pytest.raises(ValueError, match=r"must hold finite numbers of at least 0. Received: weights="):
        Constant([1.0, -1.0])


def test_there_must_be_a_weight_per_task():
    with pytest.raises(ValueError, match=r"one number per task, 3. Received: "):
        Constant([1.0, 2.0])(np.eye(3))
