import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import alike

CLASSES = [mz.Task.classification(name, 3) for name in ("a", "b")]
YES = [mz.Task.binary(name) for name in ("c", "d")]
MORE = [mz.Task.regression("e"), mz.Task.ranking("f", 2), mz.Task.classification("g", 4)]
TASKS = [CLASSES[0], YES[0], *MORE, CLASSES[1], YES[1]]
LABELS = {
    "a": np.array([0, 3, -1]),
    "b": np.array([5, 4, 3]),
    "c": np.array([0.0, 2.0, np.nan], "float32"),
    "d": np.array([0.5, 0.0, 1.0], "float32"),
    "e": np.array([np.inf, 1.0, np.nan], "float32"),
    "f": np.array([[1.0, 0.0]] * 3, "float32"),
    "g": np.array([3, 4, 1]),
}


def tensors():
    return {name: tf.constant(values) for name, values in LABELS.items()}


def test_labels_of_one_kind_and_shape_are_counted_together():
    places = alike.groups([tensors()[task.name] for task in TASKS], TASKS)
    assert places == [[0, 5], [1, 6], [2], [3], [4]]


@pytest.mark.parametrize("count", [mz.Task.out_of_range, mz.Task.not_whole])
def test_every_task_has_its_own_number(count):
    found = [int(number) for number in alike.numbers(count, tensors(), TASKS)]
    assert found == [int(count(task, LABELS[task.name])) for task in TASKS]
    assert sum(found) > 0


def test_arrays_large_labels_and_labels_of_other_types_are_not_stacked():
    for labels in (
        [LABELS["a"], LABELS["b"]],
        [tf.constant([0, 1]), tf.constant([0, 1], tf.int64)],
    ):
        assert alike.groups(labels, CLASSES) == [[0], [1]]
    maps = [mz.Task.segmentation(name, 3) for name in ("a", "b")]
    assert alike.groups([tf.zeros((2, 9, 9), tf.int32)] * 2, maps) == [[0], [1]]
