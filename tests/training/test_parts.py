import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training.parts import deal, first_numbers

WEIGHTS = np.array([1, 0, 1, 2.5, 0, 0, 1, 1, 0.5, 0, 1], "float32")


def reference(weights, number):
    """Return the weights of every part, labelled item by labelled item."""
    parts, labelled = np.zeros((number, len(weights)), "float32"), 0
    for index, weight in enumerate(weights):
        if weight:
            parts[labelled % number, index] = weight
            labelled += 1
    return parts


@pytest.mark.parametrize("number", [2, 3])
def test_items_are_dealt_in_turn(number):
    np.testing.assert_array_equal(deal(tf.constant(WEIGHTS), 0, number), reference(WEIGHTS, number))


@pytest.mark.parametrize("cuts", [(4, 8), (0, 11), (5, 5), (1, 2)])
def test_portions_are_dealt_as_the_whole(cuts):
    portions = [[tf.constant(part)] for part in np.split(WEIGHTS, cuts)]
    numbers = first_numbers(portions)
    dealt = [deal(part[0], first[0], 3) for part, first in zip(portions, numbers, strict=True)]
    np.testing.assert_array_equal(np.concatenate(dealt, axis=1), reference(WEIGHTS, 3))


def test_every_task_has_numbers_of_its_own():
    portions = [[tf.constant([1.0, 0.0]), tf.ones(5)], [tf.zeros(2), tf.ones(1)], [tf.ones(1), tf.ones(1)]]
    np.testing.assert_array_equal(first_numbers(portions), [[0, 0], [1, 5], [1, 6]])


def test_no_item_at_all():
    assert [part.shape for part in deal(tf.zeros(0), 0, 3)] == [(0,)] * 3
