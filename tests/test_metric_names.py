import functools

import keras

from mtl_zoo.metric_names import named_metrics


def names(*makers):
    return [metric.name for metric in named_metrics(makers)]


def test_names_are_unique_and_do_not_depend_on_what_was_made_before():
    for _ in range(3):
        assert names(keras.metrics.AUC, keras.metrics.AUC, keras.metrics.Recall) == ["auc", "auc_1", "recall"]


def test_given_names_stay():
    top = functools.partial(keras.metrics.TopKCategoricalAccuracy, name="top_5")
    assert names(top, top) == ["top_5", "top_5_1"]
