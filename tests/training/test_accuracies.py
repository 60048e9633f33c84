import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import accuracies
from mtl_zoo.training.task_metrics import TaskMetrics


def make(kind, number=3):
    rng = np.random.default_rng(0)
    if kind == "classification":
        tasks = [mz.Task.classification(f"task_{i}", 4) for i in range(number)]
        labels = [rng.integers(-1, 4, 50) for _ in tasks]
    else:
        tasks = [mz.Task.binary(f"task_{i}", metrics=["accuracy"]) for i in range(number)]
        labels = [rng.integers(-1, 2, (50, 1)) for _ in tasks]
    logits = [rng.normal(size=(50, *task.output_shape)).astype("float32") for task in tasks]
    return tasks, list(map(tf.constant, labels)), list(map(tf.constant, logits))


@pytest.mark.parametrize("kind", ["classification", "binary"])
def test_accuracies_are_those_of_keras_one_by_one(kind):
    tasks, labels, logits = make(kind)
    items = [task.items(*pair) for task, *pair in zip(tasks, labels, logits, strict=True)]
    together, alone = ([TaskMetrics(task) for task in tasks] for _ in range(2))
    done = accuracies.update(together, items, labels)
    assert done == [found.metrics[0] for found in together]
    for index, found in enumerate(alone):
        found.update_state(items[index], labels[index])
        for one, other in zip(found.metrics[0].variables, together[index].metrics[0].variables, strict=True):
            assert float(one) == float(other) > 0
        there = labels[index].numpy().ravel() >= 0
        predicted = logits[index].numpy()
        right = predicted.argmax(-1) if kind == "classification" else predicted[:, 0] > 0
        expected = np.mean((right == labels[index].numpy().ravel())[there])
        assert float(together[index].metrics[0].result()) == pytest.approx(expected)


def test_metrics_that_only_look_alike_are_left_to_themselves():
    class Half(keras.metrics.BinaryAccuracy):
        pass

    metrics = [
        Half(),
        keras.metrics.BinaryAccuracy(threshold=0.3),
        keras.metrics.BinaryAccuracy(dtype="float64"),
    ]
    tasks = [mz.Task.binary(f"task_{i}", metrics=metrics) for i in range(2)]
    labels = [tf.constant([[1], [0]])] * 2
    items = [task.items(x, tf.zeros((2, 1))) for task, x in zip(tasks, labels, strict=True)]
    assert accuracies.update([TaskMetrics(task) for task in tasks], items, labels) == []
    alone = [TaskMetrics(task) for task in make("binary", 1)[0]]
    assert accuracies.update(alone, items[:1], labels[:1]) == []
