"""The constructors of tasks, with losses and metrics as `keras.Model.compile` takes them."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)
MAKERS = {
    "classification": lambda **own: mz.Task.classification("t", 3, **own),
    "binary": lambda **own: mz.Task.binary("t", **own),
    "multilabel": lambda **own: mz.Task.multilabel("t", 2, **own),
    "regression": lambda **own: mz.Task.regression("t", 2, **own),
    "segmentation": lambda **own: mz.Task.segmentation("t", 3, **own),
    "dense_regression": lambda **own: mz.Task.dense_regression("t", 2, **own),
    "tagging": lambda **own: mz.Task.tagging("t", 3, **own),
}
LOSSES = {3: "sparse_categorical_crossentropy", 1: "binary_crossentropy"}


def test_a_loss_of_lists_may_be_another():
    def listwise(labels, scores):
        return -tf.reduce_sum(tf.nn.log_softmax(scores) * tf.where(labels > 0, labels, 0.0), axis=-1)

    task = mz.Task.ranking("hits", 4, loss=listwise)
    assert np.isfinite(task.compute_loss([[2.0, 0, 1, np.nan]], np.ones((1, 4), "float32")))
    with pytest.raises(ValueError, match=r"`loss` of `Task\.ranking` must give one number per list of 4"):
        mz.Task.ranking("hits", 4, loss="mse")


@pytest.mark.parametrize("missing", [False, True])
def test_label_smoothing_is_that_of_keras(missing):
    labels, logits = np.array([2, 0, 1, 1]), RANDOM.normal(size=(4, 3)).astype("float32")
    smooth = {"from_logits": True, "label_smoothing": 0.2}
    expected = keras.losses.CategoricalCrossentropy(**smooth)(np.eye(3)[labels][missing:], logits[missing:])
    labels[:missing] = -1
    task = mz.Task.classification("kind", 3, label_smoothing=0.2)
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-6)
    yes = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
    expected = keras.losses.BinaryCrossentropy(**smooth)(yes, logits)
    for smoothed in (mz.Task.multilabel("tags", 3, label_smoothing=0.2),):
        np.testing.assert_allclose(smoothed.compute_loss(yes, logits), expected, rtol=1e-6)


def test_label_smoothing_is_for_the_default_loss():
    with pytest.raises(ValueError, match=r"`label_smoothing` must be that of the default loss"):
        mz.Task.binary("click", loss="binary_crossentropy", label_smoothing=0.1)
    with pytest.raises(TypeError, match=r"label_smoothing"):
        mz.Task.regression("price", label_smoothing=0.1)


def example(task):
    """Return labels and logits of four examples."""
    random = np.random.default_rng(0)
    shape = (4, *(size or 3 for size in task.output_shape))
    labels = random.integers(0, 2, shape[:-1] if task.labels_are_indices else shape)
    return labels, random.normal(size=shape).astype("float32")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_loss_by_name_is_that_of_keras(kind):
    given = MAKERS[kind]()
    name = {keras.activations.softmax: 3, keras.activations.sigmoid: 1}.get(given.activation)
    name = LOSSES.get(name, "mean_absolute_error")
    task = MAKERS[kind](loss=name, metrics=["mae"] if name[0] == "m" else ["accuracy"])
    labels, logits = example(task)
    expected = np.mean(keras.losses.get(name)(labels, task.activation(logits)))
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-5)
    if name[0] != "m":  # the default
        np.testing.assert_allclose(given.compute_loss(labels, logits), expected, rtol=1e-5)
    assert [metric.name for metric in task.make_metrics()] == ["mae" if name[0] == "m" else "accuracy"]


def test_accuracy_is_that_of_the_kind():
    def kind_of(task):
        return type(dataclasses.replace(task, metrics=["accuracy"]).make_metrics()[0])

    assert kind_of(mz.Task.binary("t")) is keras.metrics.BinaryAccuracy
    assert kind_of(mz.Task.tagging("t", 3)) is keras.metrics.SparseCategoricalAccuracy


def test_metric_instances_are_copied():
    given = keras.metrics.Precision(name="exact", thresholds=0.8)
    task = mz.Task.binary("t", metrics=[given, keras.metrics.AUC])
    first, second = task.make_metrics(), task.make_metrics()
    assert [metric.name for metric in first] == ["exact", "auc"]
    assert first[0].thresholds == [0.8] == second[0].thresholds
    assert len({id(given), id(first[0]), id(second[0])}) == 3


def test_an_instance_replaces_the_loss_of_a_task():
    task = dataclasses.replace(mz.Task.regression("t"), loss=keras.losses.Huber(delta=0.5))
    found = task.compute_loss(np.array([0.0, np.nan]), np.array([[2.0], [1.0]]))
    assert float(found) == pytest.approx(0.5 * (2 - 0.25))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"loss": "mea"}, "`loss` must be a `keras.losses.Loss`, the name of one, or a function"),
        ({"loss": "ctc"}, "`loss` must take labels of shape"),
        ({"metrics": ["mea"]}, "A metric must be one that Keras knows by its name. Received: 'mea'"),
        ({"metrics": [3]}, "A metric must be a `keras.metrics.Metric`, the name of one, or a function"),
    ],
)
def test_what_is_no_loss_or_metric(own, message):
    with pytest.raises(ValueError, match=message):
        mz.Task.regression("t", **own)
