import dataclasses

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.headlines import headline_metrics, sign_of
from mtl_zoo.training.task_metrics import TaskMetrics

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("kind", "size"), [("binary", 1), ("multilabel", 2), ("regression", 2)])
def test_by_numpy_on_what_is_labelled(kind, size):
    task = getattr(mz.Task, kind)("t", *[size][: size - 1], metrics=[mz.metrics.Calibration])
    labels = np.where(RANDOM.random((30, size)) < 0.3, np.nan, RANDOM.integers(0, 2, (30, size)))
    labels = labels.astype("float32")
    logits, weights = RANDOM.normal(size=(30, size)).astype("float32"), RANDOM.random(30).astype("float32")
    metrics = TaskMetrics(task)
    for rows in (slice(20), slice(20, 30)):
        items = task.items(labels[rows], logits[rows], weights[rows])
        metrics.update_state(items, labels[rows], weights[rows])
    there = ~np.isnan(labels)
    predictions = np.array(task.activation(logits))
    expected = (weights[:, None] * predictions)[there].sum() / (weights[:, None] * labels)[there].sum()
    np.testing.assert_allclose(metrics.results()["t_calibration"], expected, rtol=1e-5)


def test_is_not_defined_without_a_positive_label():
    metric = mz.metrics.Calibration()
    metric.update_state([[0.0]], [[0.3]])
    assert np.isnan(metric.result())


def test_neither_more_nor_less_is_better():
    assert sign_of(mz.metrics.Calibration()) is None
    with pytest.raises(ValueError, match="must be declared"):
        headline_metrics(mz.Task.binary("t", metrics=[mz.metrics.Calibration], headline=["calibration"]))
    task = mz.Task.binary("t", metrics=[mz.metrics.Calibration, mz.metrics.LogLoss])
    assert headline_metrics(task) == {"log_loss": -1}


def test_labels_must_have_the_shape_of_predictions():
    with pytest.raises(ValueError, match=r"shape of the predictions. Received: shapes \(2,\) and \(2, 3\)"):
        mz.metrics.Calibration().update_state([0, 1], np.ones((2, 3)))


def test_is_saved_by_name():
    metric = mz.metrics.Calibration(name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert (type(again), again.name) == (mz.metrics.Calibration, "own")


def test_of_logits_it_is_refused():
    task = dataclasses.replace(mz.Task.binary("t"), metrics_take_logits=True)
    with pytest.raises(ValueError, match=r"metrics get predictions. Received: task 't' with metrics_take"):
        mz.metrics.Calibration().check_task(task)
