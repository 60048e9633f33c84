import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.batch import count, joined, portions
from mtl_zoo.training.problem import pose

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]
LABELS = {"a": [1.0, np.nan, 3.0, 4.0, 5.0], "b": [np.nan, np.nan, 3.0, np.nan, np.nan]}


def test_portions_are_nearly_equal_and_in_order():
    x, y = np.arange(7), {"a": np.arange(7) * 10}
    found = portions((x, y), 3)
    assert [list(np.array(part[0])) for part in found] == [[0, 1], [2, 3], [4, 5, 6]]
    assert [list(np.array(part[1]["a"])) for part in found] == [[0, 10], [20, 30], [40, 50, 60]]
    assert all(part[2] is None for part in found)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("aggregator", [None, mz.aggregators.MoDo])
def test_what_is_counted(aggregator, number):
    """Five, or four, labelled items, dealt to three parts in turn."""
    model = mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))
    problem = pose(model, TASKS, aggregator=aggregator and aggregator())
    labels = {name: tf.constant(values) for name, values in LABELS.items()}
    batch = count(problem, portions((tf.ones((5, 3)), labels, tf.constant([1.0, 1, 1, 1, 2])), number))
    assert float(batch.size) == 5
    np.testing.assert_array_equal(batch.counts, [5.0, 1.0])
    parts = [[5, 1]] if aggregator is None else [[3, 1], [1, 0], [1, 0]]
    np.testing.assert_array_equal(batch.part_counts, parts)
    np.testing.assert_allclose(batch.shares(), np.array(parts) / [5, 1])
    found = [[float(x) for x in part] for part in batch.derivatives(tf.constant([10.0, 2.0]))]
    np.testing.assert_allclose(found, [[10 / a if a else 0, 2 / b if b else 0] for a, b in parts], rtol=1e-6)


def test_batches_are_joined():
    dataset = tf.data.Dataset.from_tensor_slices((np.arange(7), {"a": np.arange(7)})).batch(2)
    assert joined(dataset, 1) is dataset
    found = joined(dataset, 3)
    assert [list(x.numpy()) for x, _ in found] == [[0, 1, 2, 3, 4, 5], [6]]
    assert int(found.cardinality()) == 2
