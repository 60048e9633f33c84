import keras
import numpy as np
import pytest
import sklearn.metrics

import mtl_zoo as mz
from mtl_zoo.headlines import headline_metrics
from mtl_zoo.training.task_metrics import TaskMetrics

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["binary", "classification"])
def test_is_that_of_scikit_learn_on_what_is_labelled(kind):
    size = 1 if kind == "binary" else 3
    arguments = () if kind == "binary" else (3,)
    task = getattr(mz.Task, kind)("t", *arguments, metrics=[mz.metrics.LogLoss])
    labels = RANDOM.integers(-1, max(size, 2), 40)
    logits = RANDOM.normal(size=(40, size)).astype("float32")
    metrics = TaskMetrics(task)
    metrics.update_state(task.items(labels, logits), labels)
    predictions, there = np.array(task.activation(logits)), labels >= 0
    expected = sklearn.metrics.log_loss(labels[there], predictions[there].squeeze())
    np.testing.assert_allclose(metrics.results()["t_log_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics.results()["t_log_loss"], task.compute_loss(labels, logits), rtol=1e-5)
    assert headline_metrics(task) == {"log_loss": -1}


def test_is_saved_by_name():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(mz.metrics.LogLoss()))
    assert (type(again), again.name) == (mz.metrics.LogLoss, "log_loss")
