import itertools

import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.numerics.clusters import group_means


def error(values, groups):
    return sum(((values[group] - values[group].mean()) ** 2).sum() for group in groups if len(group))


def best(values, num_groups):
    """Return the means of the best groups by trying all assignments."""
    found = []
    for labels in itertools.product(range(num_groups), repeat=len(values)):
        groups = [np.flatnonzero(np.equal(labels, group)) for group in range(num_groups)]
        found.append((error(values, groups), groups))
    _, groups = min(found, key=lambda pair: pair[0])
    means = np.empty(len(values))
    for group in groups:
        means[group] = values[group].mean() if len(group) else 0
    return means


@pytest.mark.parametrize("num_groups", [1, 2, 3])
def test_no_assignment_is_better(num_groups):
    rng = np.random.default_rng(0)
    compiled = tf.function(group_means, jit_compile=num_groups == 3)
    for scale in (1.0, 1.0, 1.0, 1e-12, 1e25):
        values = scale * rng.lognormal(sigma=2.0, size=5)
        found = compiled(tf.constant(values, "float32"), tf.ones(5), num_groups)
        np.testing.assert_allclose(found, best(values, num_groups), rtol=1e-5)


def test_as_many_groups_as_numbers_change_nothing():
    values = np.float32([3.0, 1e-9, 1e9, 2.0])
    np.testing.assert_array_equal(group_means(values, np.ones(4, "float32"), 10), values)


def test_numbers_beside_a_huge_one_are_told_apart():
    values = np.float32([1.0, 1.1, 2.0, 2.1, 1e6])
    found = group_means(values, np.ones(5, "float32"), 3)
    np.testing.assert_allclose(found, [1.05, 1.05, 2.05, 2.05, 1e6], rtol=1e-6)


def test_absent_numbers_count_nothing():
    values, present = np.float32([9.0, 5.0, 1.0, 3.0]), np.float32([1, 0, 1, 1])
    np.testing.assert_allclose(group_means(values, present, 2), [9.0, 0.0, 2.0, 2.0], rtol=1e-6)
    np.testing.assert_array_equal(group_means(values, 0 * present, 2), np.zeros(4))


def test_equal_numbers_are_one_group():
    np.testing.assert_allclose(group_means(np.float32([2, 2, 2]), np.ones(3, "float32"), 2), 2.0)
