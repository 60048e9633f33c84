import dataclasses
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting.verify import Agreement
from mtl_zoo.task import Task

TASKS = [Task.classification("kind", 3), Task.regression("size")]


def small_model():
    inputs = {name: keras.Input((2,), name=name) for name in ("left", "right-hand")}
    x = keras.layers.Dense(3, activation="tanh", name="trunk")(keras.layers.Concatenate()([*inputs.values()]))
    return keras.Model(inputs, {task.name: keras.layers.Dense(task.item_size)(x) for task in TASKS})


def batches():
    """Two labelled batches of different sizes; some labels are missing."""
    random = np.random.default_rng(0)
    for size in (5, 3):
        x = {name: random.normal(size=(size, 2)).astype("float32") for name in ("left", "right-hand")}
        labels = {"kind": np.arange(size) % 3 - 1, "size": random.normal(size=size).astype("float32")}
        yield {name: tf.constant(array) for name, array in x.items()}, labels


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An artefact for fixed batch sizes, and the model it was made from."""
    model, path = small_model(), tmp_path_factory.mktemp("exported") / "1"
    exporting.saved_model(model, TASKS, path, device="tpu", batch_sizes=[2, 4])
    return path, model


def test_difference_is_that_of_predictions_and_metrics(exported):
    """The artefact is compared with another model, one of whose outputs differs by what is known."""
    path, model = exported
    shifted = keras.models.clone_model(model)
    shifted.set_weights(model.get_weights())
    bias = shifted.output["size"]._keras_history.operation.bias
    bias.assign_add([0.5])
    kind, size = exporting.verify(path, shifted, TASKS, batches())
    assert (kind.task, size.task) == ("kind", "size")
    assert kind.difference < 1e-6
    assert kind.metric_difference < 1e-6
    assert kind.within(1e-5, 1e-5)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    for x, labels in batches():
        accuracy.update_state(labels["kind"], model(x)["kind"], labels["kind"] >= 0)
    assert kind.metrics["accuracy"][1] == pytest.approx(float(accuracy.result()))
    assert size.difference == pytest.approx(0.5, abs=1e-5)
    assert not size.within(0.1, 1.0)
    assert size.within(1.0, 1.0)
    assert 0 < size.metric_difference <= 0.5


def test_metrics_that_neither_defines_agree():
    nan = float("nan")
    assert Agreement("t", 0.0, 1.0, {"auc": (nan, nan), "accuracy": (0.5, 0.5)}).within(0.0, 0.0)
    assert not Agreement("t", 0.0, 1.0, {"auc": (0.5, nan), "accuracy": (0.5, 0.5)}).within(1.0, 1.0)


def test_changed_files_are_found_before_anything_runs(exported, monkeypatch):
    path, model = exported
    monkeypatch.setattr(subprocess, "run", pytest.fail)
    variables = path / "variables" / "variables.index"
    content = variables.read_bytes()
    try:
        variables.write_bytes(content + b" ")
        with pytest.raises(ValueError, match=r"Received changes of variables/variables\.index"):
            exporting.verify(path, model, TASKS, batches())
        variables.write_bytes(content)
        (path / "more").touch()
        with pytest.raises(ValueError, match="Received changes of more"):
            exporting.verify(path, model, TASKS, batches())
    finally:
        variables.write_bytes(content)
        (path / "more").unlink()


def test_there_must_be_an_artefact_of_a_known_kind_and_data(tmp_path):
    with pytest.raises(FileNotFoundError, match="must be an exported model"):
        exporting.verify(tmp_path / "none", small_model(), TASKS, batches())
    (tmp_path / "model.h5").touch()
    with pytest.raises(ValueError, match=r"An export must be one of .*saved_model.*model\.h5"):
        exporting.verify(tmp_path / "model.h5", small_model(), TASKS, batches())
    with pytest.raises(ValueError, match="at least one batch"):
        exporting.verify(tmp_path / "model.h5", small_model(), TASKS, [])


def test_agreement_is_relative_above_one_and_nan_never_agrees():
    agreement = exporting.Agreement("size", difference=0.5, scale=100.0, metrics={"error": (1.0, 1.2)})
    assert agreement.within(0.005, 0.21)
    assert not agreement.within(0.0049, 0.21)
    assert not agreement.within(0.005, 0.19)
    assert not dataclasses.replace(agreement, difference=float("nan")).within(1e9, 1e9)
    assert not dataclasses.replace(agreement, metrics={"error": (1.0, float("nan"))}).within(1e9, 1e9)
    assert dataclasses.replace(agreement, metrics={}).within(0.005, 0.0)
