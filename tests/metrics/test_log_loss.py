import dataclasses

import keras
import numpy as np
import pytest
import sklearn.metrics

import mtl_zoo as mz
from mtl_zoo.headlines import headline_metrics
from mtl_zoo.metrics import LogLoss
from mtl_zoo.training.task_metrics import TaskMetrics

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["binary", "classification"])
def test_is_that_of_scikit_learn_on_what_is_labelled(kind):
    size = 1 if kind == "binary" else 3
    arguments = () if kind == "binary" else (3,)
    task = getattr(mz.Task, kind)("t", *arguments, metrics=[LogLoss])
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
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(LogLoss(False)))
    assert (type(again), again.name, again.multi_label) == (LogLoss, "log_loss", False)


def measured(labels, predictions, multi_label=None, sample_weight=None):
    metric = LogLoss(multi_label)
    metric.update_state(np.array(labels), np.array(predictions), sample_weight=sample_weight)
    return float(metric.result())


def test_one_hot_and_soft_labels_are_those_of_classes_where_that_is_said():
    predictions, soft = RANDOM.dirichlet([1.0] * 3, 20), RANDOM.dirichlet([1.0] * 3, 20)
    one_hot = np.eye(3)[RANDOM.integers(0, 3, 20)]
    for labels in (one_hot, soft):
        expected = np.mean(-np.sum(labels * np.log(predictions), axis=-1))
        np.testing.assert_allclose(measured(labels, predictions, multi_label=False), expected, rtol=1e-5)
        binary = labels * np.log(predictions) + (1 - labels) * np.log(1 - predictions)
        np.testing.assert_allclose(measured(labels, predictions, multi_label=True), -binary.mean(), rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "predictions", "expected"),
    [
        ([[1], [0]], [[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], -np.log([0.5, 0.4])),
        ([[[1], [0]]], [[[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]]], -np.log([0.5, 0.4])),
        ([1, 0], [[0.2], [0.6]], -np.log([0.2, 0.4])),
        ([[1], [0]], [0.2, 0.6], -np.log([0.2, 0.4])),
    ],
)
def test_labels_may_have_an_axis_of_one_or_none(labels, predictions, expected):
    np.testing.assert_allclose(measured(labels, predictions), np.mean(expected), rtol=1e-5)


def test_examples_without_columns_have_weights_of_their_own():
    found = measured([1, 0], [0.2, 0.6], sample_weight=np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, -(3 * np.log(0.2) + np.log(0.4)) / 4, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [([[1.0]], [[1.5]]), ([[1.0]], [[-0.1]]), ([[3.0]], [[0.5]]), ([[-1.0]], [[0.5]]), ([1], [[-4.0, 4.0]])],
)
def test_of_what_is_no_probability_it_is_not_defined(labels, predictions):
    assert np.isnan(measured(labels, predictions))


@pytest.mark.parametrize(
    ("labels", "predictions", "multi_label"),
    [
        ([[0, 1, 0]], [[0.2, 0.5, 0.3]], None),
        ([[0, 1]], [[0.2, 0.5, 0.3]], False),
        ([[0, 1]], [[0.2]], None),
        ([1], [[0.2, 0.8]], True),
    ],
)
def test_shapes_that_do_not_tell_are_refused(labels, predictions, multi_label):
    with pytest.raises(ValueError, match=r"Labels of `LogLoss` must be .* Received: shapes \(1"):
        measured(labels, predictions, multi_label)


def one_hot_task(multi_label, activation=keras.activations.softmax):
    return mz.Task(
        "t",
        output_shape=(3,),
        label_shape=(3,),
        item_size=3,
        loss=keras.losses.CategoricalCrossentropy(),
        activation=activation,
        metrics=[LogLoss(multi_label)],
    )


def test_of_a_task_of_one_hot_labels_it_is_the_loss():
    labels, logits = np.eye(3, dtype="float32")[[1, 2]], np.array([[0.1, 2.0, 0.5], [1.0, 0.0, 0.3]])
    task = one_hot_task(multi_label=False)
    metrics = TaskMetrics(task)
    metrics.update_state(task.items(labels, logits), labels)
    np.testing.assert_allclose(metrics.results()["t_log_loss"], task.compute_loss(labels, logits), rtol=1e-5)


@pytest.mark.parametrize(
    ("task", "refusal"),
    [
        (one_hot_task(None), r"Labels of task 't' must be .*multi_label=None"),
        (one_hot_task(False, keras.activations.sigmoid), r"which sum to 1 .*task 't'"),
        (mz.Task.classification("t", 3, metrics=[LogLoss(True)]), r"task 't' .*multi_label=True"),
        (mz.Task.count("t", metrics=[LogLoss]), r"are probabilities.* from -9 to 9 has .* to 8103.08"),
        (
            dataclasses.replace(mz.Task.binary("t", metrics=[LogLoss]), metrics_take_logits=True),
            r"Metric 'log_loss' must be of a task whose predictions are probabilities",
        ),
        (dataclasses.replace(mz.conversion_task("t"), metrics=[LogLoss]), r"has some of shape \(2, 1\)"),
    ],
)
def test_a_task_that_it_does_not_suit_is_refused(task, refusal):
    with pytest.raises(ValueError, match=refusal):
        TaskMetrics(task)


@pytest.mark.parametrize(
    "task",
    [
        mz.Task.multilabel("t", 3, metrics=[LogLoss]),
        mz.Task.ordinal("t", 3, metrics=[LogLoss]),
        mz.Task.segmentation("t", 3, metrics=[LogLoss]),
        dataclasses.replace(mz.Task.binary("t", metrics=[LogLoss]), activation=keras.activations.linear),
    ],
)
def test_a_task_that_answers_probabilities_needs_no_argument(task):
    assert TaskMetrics(task).names == ["t_log_loss"]
