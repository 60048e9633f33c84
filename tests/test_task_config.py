import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from mtl_zoo.task import Task


@keras.saving.register_keras_serializable("tests")
def cubic(labels, outputs):
    return keras.ops.mean(keras.ops.abs(labels - outputs) ** 3, axis=-1)


def again(task):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(task)))
    return keras.saving.deserialize_keras_object(config)


TASKS = [
    Task.binary("t", class_weight={1: 3}, label_smoothing=0.1),
    Task.multilabel(
        "t", 3, class_weight=[{0: 2}, {}, {1: 5}], metrics=["accuracy", keras.metrics.AUC(name="a")]
    ),
    Task.classification("t", 3, loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=1)),
    Task.ordinal("t", 3, class_weight="balanced"),
    Task.segmentation("t", 3, size=(2, 2)),
    Task.tagging("t", 3, label_smoothing=0.2),
    Task.regression("t", 3, loss=keras.losses.Huber(delta=0.1), metrics=["mae", "mse"]),
    Task.regression("t", 3, loss=cubic),
    Task.dense_regression("t", 2),
    Task.count("t", 2, loss="poisson"),
    Task.ranking("t", 3),
    dataclasses.replace(
        Task.binary("t", loss=functools.partial(keras.losses.binary_focal_crossentropy, gamma=3)), output=0
    ),
]


@pytest.mark.parametrize("task", TASKS, ids=range(len(TASKS)))
def test_a_task_comes_back_as_it_was(task):
    found = again(task)
    assert found.get_config() == task.get_config()
    plain = [
        field.name for field in dataclasses.fields(Task) if field.name not in ("loss", "metrics", "missing")
    ]
    assert {name: getattr(found, name) for name in plain} == {name: getattr(task, name) for name in plain}
    assert [m.get_config() for m in found.make_metrics()] == [m.get_config() for m in task.make_metrics()]
    random = np.random.default_rng(0)
    logits = random.normal(size=(8, *(size or 2 for size in task.output_shape))).astype("float32")
    labels = random.integers(-1, 2, (8, *(size or 2 for size in task.label_shape)))
    if found.class_weight != "balanced":
        np.testing.assert_array_equal(found.compute_loss(labels, logits), task.compute_loss(labels, logits))
    np.testing.assert_array_equal(found.missing(labels), task.missing(labels))


def test_what_has_no_name_to_be_found_by_is_refused():
    with pytest.raises(ValueError, match=r"`loss` of task 't' must be of Keras, or decorated by"):
        Task.regression("t", loss=lambda labels, outputs: (labels - outputs) ** 2).get_config()
    with pytest.raises(ValueError, match=r"`metrics` of task 't' must be of Keras, or decorated by"):
        Task.regression("t", metrics=[_metric]).get_config()


def _metric():
    return keras.metrics.MeanMetricWrapper(lambda labels, outputs: labels - outputs, "own")
