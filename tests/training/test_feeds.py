import keras
import numpy as np

import mtl_zoo as mz
from mtl_zoo.training.feeds import Batch, Feed, known

TAGS = mz.Task.multilabel("tags", 2)


def batch():
    """Two examples of two labels, of which the second of the first is missing."""
    labels = np.array([[1.0], [0.0], [0.0], [1.0]], "float32")
    predictions = np.array([[0.9], [0.5], [0.8], [0.7]], "float32")
    return Batch(labels, predictions, np.array([1, 0, 1, 1], "float32"), (2,))


def test_arrays_in_the_shape_of_items_or_of_the_task():
    labels, predictions, weights = Feed().arrays(TAGS, batch())
    assert (labels.shape, predictions.shape, weights.shape) == ((4, 1), (4, 1), (4,))
    found = Feed(shaped=True).arrays(TAGS, batch())
    assert [tuple(x.shape) for x in found] == [(2, 2)] * 3
    np.testing.assert_array_equal(found[2], [[1, 0], [1, 1]])


def test_weights_per_value_per_example_or_none():
    right = {"values": 2 / 3, "examples": 1 / 2, "none": 1 / 2}
    for weights, expected in right.items():
        metric = keras.metrics.BinaryAccuracy()
        Feed(shaped=weights != "values", weights=weights).update(TAGS, metric, batch())
        np.testing.assert_allclose(metric.result(), expected, err_msg=weights)


def test_indices_become_one_hot():
    task = mz.Task.classification("kind", 3)
    one = Batch(np.array([2]), np.ones((1, 3), "float32"), np.ones(1, "float32"), (1,))
    np.testing.assert_array_equal(Feed(one_hot=True).arrays(task, one)[0], [[0, 0, 1]])


def test_common_metrics_are_known():
    task = mz.Task.classification("kind", 3)
    assert known(task, keras.metrics.SparseCategoricalAccuracy()) == Feed()
    assert known(task, keras.metrics.AUC()) == Feed(one_hot=True)
    assert known(TAGS, keras.metrics.BinaryAccuracy()) == Feed()
    assert known(TAGS, keras.metrics.CosineSimilarity()) is None
