import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training import together
from mtl_zoo.training.problem import Problem

NUMBER = 6


def own(labels, logits):  # not a loss of single items
    return keras.losses.mean_squared_error(labels - tf.reduce_mean(labels), logits)


TASKS = [
    mz.Task.classification("left", 3),
    mz.Task.binary("click", class_weight={1: 3.0}),
    mz.Task.regression("price"),
    mz.Task.classification("right", 3),
    mz.Task.classification("rare", 3, class_weight={2: 5.0}),
    mz.Task.binary("like", class_weight={1: 3.0}),
    dataclasses.replace(mz.Task.regression("first"), loss=own),
    dataclasses.replace(mz.Task.regression("second"), loss=own),
    mz.Task.regression("weight"),
]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels, logits = {}, {}
    for task in TASKS:
        classes = task.max_label is not None
        values = rng.integers(-1, task.max_label + 1, NUMBER) if classes else rng.normal(size=(NUMBER, 1))
        labels[task.name] = tf.constant(values, "int64" if classes else "float32")
        logits[task.name] = tf.constant(rng.normal(size=(NUMBER, *task.output_shape)), "float32")
    labels["price"] = tf.where([[True], *[[False]] * (NUMBER - 1)], float("nan"), labels["price"])
    return labels, logits


@pytest.mark.parametrize("sample_weight", [None, "for all", {"click": tf.range(6.0)}])
def test_sums_items_and_gradients_are_those_of_each_task(batch, sample_weight):
    labels, logits = batch
    weight = tf.range(6.0) if sample_weight == "for all" else sample_weight
    problem = Problem(None, tuple(TASKS))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        sums, items = together.sums(problem, labels, logits, weight)
        expected = [
            task.items(labels[task.name], logits[task.name], problem.weight_of(task, weight))
            for task in TASKS
        ]
        alone = [task.sum_loss(*found) for task, found in zip(TASKS, expected, strict=True)]
    np.testing.assert_allclose(sums, alone, rtol=1e-6)
    for found, other in zip(items, expected, strict=True):
        for x, y in zip(found, other, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
    seeds = list(tf.unstack(tf.range(1.0, len(TASKS) + 1.0)))
    gradients = (tape.gradient(x, logits, output_gradients=seeds) for x in (sums, alone))
    for found, other in zip(*map(dict.values, gradients), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-6)


def test_only_losses_of_single_items_that_are_known_are_computed_together(batch):
    groups = [[TASKS[index].name for index in group] for group in together._groups(TASKS, *batch, None)]
    several = [group for group in groups if len(group) > 1]
    assert several == [["left", "right"], ["click", "like"], ["price", "weight"]]
    assert sorted(itertools.chain(*groups)) == sorted(task.name for task in TASKS)
