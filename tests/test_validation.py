import dataclasses
import math
import re

import keras
import numpy as np
import pytest

from mtl_zoo import architectures, encoders, exporting
from mtl_zoo.task import Task
from mtl_zoo.training.trainer import Trainer
from mtl_zoo.validation import RESERVED_NAMES, check_log_keys, check_tasks


def functional(**shapes):
    inputs = keras.Input((4,), name="x")
    outputs = {}
    for name, shape in shapes.items():
        dense = keras.layers.Dense(math.prod(shape))(inputs)
        outputs[name] = keras.layers.Reshape(shape)(dense)
    return keras.Model(inputs, outputs)


@pytest.fixture(scope="module")
def model():
    return functional(sex=(1,), mask=(8, 8, 3), tags=(5, 7))


def test_accepts_tasks_that_match(model):
    tasks = [Task.segmentation("mask", 3), Task.binary("sex"), Task.tagging("tags", 7)]
    check_tasks(model, tasks)
    check_tasks(model, tuple(tasks))


def test_ignores_outputs_that_no_task_names(model):
    check_tasks(model, [Task.binary("sex")])


def test_unknown_sizes_match_anything():
    inputs = keras.Input((None, None, 1), name="image")
    model = keras.Model(inputs, {"mask": keras.layers.Conv2D(3, 1)(inputs)})
    check_tasks(model, [Task.segmentation("mask", 3)])
    check_tasks(model, [dataclasses.replace(Task.segmentation("mask", 3), output_shape=(8, 8, 3))])


def test_task_without_output():
    model = functional(sex=(1,))
    message = "Every task must name an output of `model`. Received tasks ['age'], but the outputs are ['sex']"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}; a task's `output`"):
        check_tasks(model, [Task.regression("age")])


@pytest.mark.parametrize("tasks", [[], ()])
def test_no_tasks(model, tasks):
    with pytest.raises(ValueError, match=r"There must be at least one task. Received: tasks="):
        check_tasks(model, tasks)


def test_duplicate_names(model):
    with pytest.raises(ValueError, match=r"name of its own. Received tasks \['sex', 'sex'\]"):
        check_tasks(model, [Task.binary("sex"), Task.binary("sex")])


@pytest.mark.parametrize(
    ("task", "received"),
    [
        (Task.classification("sex", 2), r"\(None, 2\). Received: shape=\(None, 1\)"),
        (Task.segmentation("sex", 1), r"\(None, None, None, 1\). Received: shape=\(None, 1\)"),
        (Task.tagging("mask", 3), r"\(None, None, 3\). Received: shape=\(None, 8, 8, 3\)"),
    ],
)
def test_output_of_another_shape(model, task, received):
    with pytest.raises(ValueError, match=rf"output of task '{task.name}' must have shape {received}"):
        check_tasks(model, [task])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs):
        return {"sex": self.dense(inputs)}


@pytest.mark.parametrize("make", [Subclassed, lambda: keras.Sequential([keras.layers.Dense(1)])])
def test_model_is_not_built(make):
    with pytest.raises(
        ValueError, match=r"`model` must be built: call it once .* Received: '\w+', whose weights"
    ):
        check_tasks(make(), [Task.binary("sex")])


def test_model_is_none():
    with pytest.raises(ValueError, match=r"`model` must be a `keras.Model`. Received: str"):
        check_tasks("model", [Task.binary("sex")])


def test_exports_need_a_graph(tmp_path):
    model = Subclassed()
    model(np.ones((1, 4)))
    for export, name in ((exporting.saved_model, "1"), (exporting.litert, "a.tflite")):
        with pytest.raises(ValueError, match=r"must be a functional `keras.Model`, .* Received: Subclassed"):
            export(model, [Task.binary("sex")], tmp_path / name)


def test_outputs_are_nested():
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, {"sex": [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)]})
    with pytest.raises(ValueError, match=r"must be one tensor. Received structures for \['sex'\]"):
        check_tasks(model, [Task.binary("sex")])


LAYERS = keras.layers
ACTIVATED = {
    "joined with logits": (
        Task.multilabel("t", 2),
        lambda x: LAYERS.Concatenate()(
            [LAYERS.Dense(1)(x), LAYERS.Dense(1, activation="sigmoid", name="there")(x)]
        ),
    ),
    "enlarged": (
        Task.segmentation("t", 3),
        lambda x: LAYERS.UpSampling2D()(
            LAYERS.Conv2D(3, 1, activation="softmax", name="there")(LAYERS.Reshape((2, 2, 1))(x))
        ),
    ),
    "per token": (
        Task.tagging("t", 3),
        lambda x: LAYERS.TimeDistributed(LAYERS.Dense(3, activation="softmax"), name="there")(
            LAYERS.Reshape((4, 1))(x)
        ),
    ),
    "dropped": (
        Task.classification("t", 3),
        lambda x: LAYERS.Dropout(0.1)(LAYERS.Softmax(name="there")(LAYERS.Dense(3)(x))),
    ),
    "activated twice": (
        Task.binary("t"),
        lambda x: LAYERS.Activation("linear")(LAYERS.Activation("sigmoid", name="there")(LAYERS.Dense(1)(x))),
    ),
    "of another kind": (
        Task.classification("t", 3),
        lambda x: LAYERS.Dense(3, activation="sigmoid", name="there")(x),
    ),
}


@pytest.mark.parametrize(("task", "layers"), ACTIVATED.values(), ids=ACTIVATED)
def test_an_output_that_went_through_more_than_its_activation(task, layers, tmp_path):
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, {"t": layers(inputs)})
    message = r"The output of task 't' must be logits, or what `\w+` makes .*: move layer 'there' to the end"
    with pytest.raises(ValueError, match=message):
        Trainer(model, [task])
    for export, name in ((exporting.saved_model, "1"), (exporting.litert, "a.tflite")):
        with pytest.raises(ValueError, match=message):
            export(model, [task], tmp_path / name)
    check_tasks(model, [dataclasses.replace(task, activation=keras.activations.linear)])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "relu"])
def test_a_regression_may_end_in_anything(activation):
    inputs = keras.Input((4,), name="x")
    check_tasks(
        keras.Model(inputs, {"t": LAYERS.Dense(2, activation=activation)(inputs)}), [Task.regression("t", 2)]
    )


def test_gates_before_the_last_layer_are_no_probabilities():
    inputs = keras.Input((4,), name="x")
    gated = LAYERS.Multiply()([LAYERS.Dense(4, activation="sigmoid")(inputs), inputs])
    scaled = LAYERS.Multiply()([LAYERS.Dense(1, activation="sigmoid")(inputs), LAYERS.Dense(1)(inputs)])
    check_tasks(
        keras.Model(inputs, {"a": LAYERS.Dense(1)(gated), "b": scaled}), [Task.binary("a"), Task.binary("b")]
    )


@pytest.mark.parametrize("name", [*RESERVED_NAMES, "val_price", "price_from_features"])
def test_names_that_are_taken(name):
    with pytest.raises(ValueError, match=rf"must not be one of .*Received: name='{name}'"):
        Task.binary(name)


def test_a_task_may_read_labels_of_any_key():
    task = dataclasses.replace(Task.regression("groesse"), label_name="größe")
    assert (task.name, task.label_name) == ("groesse", "größe")


@pytest.mark.parametrize(
    "names", [("a", "a_1"), ("expert", "node_1"), ("class", "def"), ("a", "A"), ("shared_1", "features_mask")]
)
@pytest.mark.parametrize("build", [architectures.cgc, architectures.mmoe, architectures.mtan])
def test_other_names_work(build, names):
    tasks = [Task.regression(name) for name in names]
    model = build(keras.Input((4,), name="x"), tasks, encoders.mlp(4, 4))
    assert list(Trainer(model, tasks).model.output) == list(names)


def test_keys_of_the_logs_that_two_numbers_would_share():
    loss = dataclasses.replace(
        Task.regression("a"), metrics=(lambda: keras.metrics.MeanAbsoluteError(name="b_loss"),)
    )
    tasks = [loss, Task.regression("a_b")]
    inputs = keras.Input((4,), name="x")
    model = keras.Model(inputs, {task.name: LAYERS.Dense(1)(inputs) for task in tasks})
    with pytest.raises(ValueError, match=r"different keys in the logs\. Received: a_b_loss twice"):
        Trainer(model, tasks)
    for own in ("skipped_steps", "learning_rate"):
        with pytest.raises(ValueError, match=f"Received: {own} twice"):
            check_log_keys([own])
