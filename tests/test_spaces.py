"""The space of a task: rows outside it are missing, however the labels come."""

import dataclasses
import json
import math
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.exporting.model_card import model_card
from mtl_zoo.spaces import Positive, others, with_spaces
from mtl_zoo.training.border import Border
from mtl_zoo.training.labels import labelled_fractions
from mtl_zoo.training.presence import LabelCounts

CLICK, BUY = mz.Task.binary("click"), mz.Task.binary("buy", where="click", class_weight={1: 3.0})
PRICE = mz.Task.regression("price", where="buy")


@keras.saving.register_keras_serializable("tests")
def is_loud(labels):
    return labels["volume"] > 0.5


SONG = mz.Task.multilabel("song", 2, where=is_loud)
TASKS = (CLICK, BUY, PRICE, SONG)
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
LABELS = {
    "click": np.where(RANDOM.random(40) < 0.1, -1, RANDOM.integers(0, 2, 40)),
    "buy": RANDOM.integers(-1, 2, 40),
    "price": RANDOM.integers(-1, 3, 40),  # whole numbers, of which -1 is a price
    "song": RANDOM.integers(0, 2, (40, 2)),
    "volume": RANDOM.random(40),
}


def by_hand():
    """Return the labels that are left."""
    buy = np.where((LABELS["click"] == 1) & (LABELS["buy"] >= 0), LABELS["buy"], np.nan)
    price = np.where(buy == 1, LABELS["price"], np.nan).astype("float32")
    song = np.where(LABELS["volume"][:, None] > 0.5, LABELS["song"], np.nan)
    click = np.where(LABELS["click"] < 0, np.nan, LABELS["click"])
    return {"click": click, "buy": buy, "price": price, "song": song}


def test_labels_outside_are_missing():
    expected = by_hand()
    for task in with_spaces(TASKS):
        found = np.array(task.labels_of(LABELS), "float32")
        np.testing.assert_array_equal(np.where(task.missing(found), np.nan, found), expected[task.name])
    assert with_spaces(TASKS)[0] is CLICK
    assert CLICK.labels_of(LABELS) is LABELS["click"]


@pytest.mark.parametrize(
    ("other", "labels", "expected"),
    [
        (mz.Task.binary("a"), [1, 0, -1], [True, False, False]),
        (mz.Task.binary("a"), [[1.0], [0.0], [math.nan]], [True, False, False]),
        (mz.Task.classification("a", 3), [0, 2, -1], [False, True, False]),
        (mz.Task.count("a"), [3, 0, -1], [True, False, False]),
        (mz.Task.regression("a"), [0.1, -2.0, math.nan], [True, False, False]),
        (
            mz.Task.classification("a", 3, loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=2)),
            [1, 2, 0],
            [True, False, False],
        ),
    ],
)
def test_where_a_label_is_there_and_positive(other, labels, expected):
    np.testing.assert_array_equal(Positive(other)({"a": np.array(labels)}), expected)


@pytest.mark.parametrize(
    "task",
    [
        mz.Task.segmentation("t", 3, where="click"),
        mz.Task.dense_regression("t", 2, where="click"),
        mz.Task.tagging("t", 3, where="click"),
        mz.Task.ordinal("t", 3, where="click"),
        mz.Task.count("t", where="click"),
        mz.Task.ranking("t", 3, where="click"),
    ],
    ids=lambda task: str(task.label_shape),
)
def test_every_kind(task):
    shape = (3, *(size or 4 for size in task.label_shape))
    labels = {"click": np.array([0, 1, -1]), "t": np.arange(math.prod(shape)).reshape(shape) % 3}
    _, found = with_spaces([CLICK, task])
    there = found.labelled_fraction(found.labels_of(labels)[1:2])
    assert float(there) == 1.0
    assert float(found.num_missing(found.labels_of(labels))) == 2 * math.prod(shape[1:])


def test_the_loss_of_a_loop_of_ones_own():
    labels = {"click": np.array([1, 0, 1, -1]), "buy": np.array([1, 1, 0, 1])}
    logits = np.array([[2.0], [5.0], [-1.0], [5.0]], "float32")
    task = dataclasses.replace(BUY, class_weight=None)
    _, task = with_spaces([CLICK, task])
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0))) / 2
    assert float(task.compute_loss(labels, logits)) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match=r"must get a dict of the labels of all tasks.*where='click'"):
        task.compute_loss(labels["buy"], logits)
    with pytest.raises(ValueError, match=r"by `mz.with_spaces\(tasks\)`, or be a function.*where='click'"):
        BUY.compute_loss(labels, logits)


def trained(tasks, data, aggregator=None, run_eagerly=True, accumulate=1):
    """Return the weights after one update on all rows, and the logs of it and of an evaluation."""
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, tasks, aggregator=aggregator, accumulate=accumulate)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=run_eagerly)
    few = {} if isinstance(data[0], tf.data.Dataset) else {"batch_size": 40}
    if callable(data[0]):
        logs = trainer.fit(data[0](), steps_per_epoch=1, shuffle=False, verbose=0).history
        found = trainer.evaluate(data[0](), steps=1, verbose=0, return_dict=True)
    else:
        logs = trainer.fit(*data, verbose=0, **few).history
        found = trainer.evaluate(*data, verbose=0, return_dict=True, **few)
    return model.get_weights(), logs | {f"val_{name}": [value] for name, value in found.items()}


@pytest.fixture(scope="module")
def expected():
    return trained([dataclasses.replace(task, where=None) for task in TASKS], (X, by_hand()))


def generator():
    while True:
        yield X, LABELS


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ((X, LABELS), {}),
        (
            (tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(20),),
            {"accumulate": 2, "run_eagerly": False},
        ),
        ((generator,), {}),
    ],
    ids=["arrays", "dataset", "generator"],
)
def test_training_and_evaluation_are_those_of_missing_labels(data, options, expected, caplog):
    weights, logs = trained(TASKS, data, **options)
    for found, wanted in zip(weights, expected[0], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert logs.keys() == expected[1].keys()
    for name, values in expected[1].items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-4, err_msg=name)
    assert "missing" not in caplog.text  # of the rows in a space most are there


def test_class_weights_are_counted_in_the_space():
    tasks = [CLICK, dataclasses.replace(BUY, class_weight="balanced")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, tasks)
    trainer.class_weights.count(*trainer.border.admit(X, LABELS)[:2])
    buy = by_hand()["buy"]
    counts = np.array([np.sum(buy == 0), np.sum(buy == 1)])
    np.testing.assert_allclose(trainer.class_weights.tables["buy"], [counts.sum() / (2 * counts)], rtol=1e-6)
    config = trainer.get_config()
    again = mz.Trainer.from_config(config)
    assert str(again.tasks[1].where) == "click"


def test_what_is_said_of_the_number_of_labels():
    tasks = with_spaces([CLICK, BUY])
    counts = LabelCounts(tasks)
    rows = {"click": np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0]), "buy": np.array([1, 0, -1] + [1] * 7)}
    counts.update_state(rows)
    np.testing.assert_array_equal(counts.result(), [[10, 0, 7], [3, 1, 1]])
    assert counts.warnings() == {}
    counts.update_state(rows | {"buy": np.full(10, -1)})
    assert "Of 6 labels of task 'buy', where click, 4 are missing" in counts.warnings()["buy"]
    dataset = tf.data.Dataset.from_tensors((X[:10], rows))
    assert labelled_fractions(dataset, [CLICK, BUY]) == pytest.approx({"click": 1.0, "buy": 0.2})
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    card = model_card(model, tasks)
    assert [card["tasks"][task.name].get("where") for task in tasks] == [None, "click"]


def test_the_border_looks_at_the_rows_of_the_space_and_needs_the_labels_of_others():
    border = Border([CLICK, BUY])
    labels = {"click": np.array([1, 0]), "buy": np.array([1, 7])}
    assert border.admit(X[:2], labels)[1].keys() == {"click", "buy"}
    with pytest.raises(ValueError, match="Labels of task 'buy' must be at most 1"):
        border.admit(X[:2], labels | {"click": np.array([0, 1])})
    alone = Border([with_spaces(TASKS)[2]])  # of a dataset's tasks, the last of a chain
    assert [task.name for task in others(alone.tasks)] == ["buy", "click"]
    assert alone.admit(X, LABELS)[1].keys() == {"price", "buy", "click"}
    with pytest.raises(
        ValueError, match=r"Received tasks \['price', 'buy', 'click'\], but labels \['price'\]"
    ):
        alone.admit(X, {"price": LABELS["price"]})


def test_a_task_with_a_space_comes_back_as_it_was():
    config = json.loads(json.dumps(BUY.get_config()))
    assert config["where"] == "click" == mz.Task.from_config(config).where
    assert mz.Task.from_config(config | {"where": None}).where is None
    del config["where"]  # as earlier versions wrote it
    assert mz.Task.from_config(config).where is None
    assert mz.Task.from_config(SONG.get_config()).where is is_loud
    with pytest.raises(ValueError, match=r"`where` of task 'a' must be of Keras, or decorated by"):
        mz.Task.binary("a", where=lambda labels: labels["b"] > 0).get_config()


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([CLICK, mz.Task.binary("a", where="b")], r"must name a task. Received: where='b'.*\['click', 'a'\]"),
        ([mz.Task.binary("a", where="a")], "must not lead back to it. Received: a where a"),
        (
            [mz.Task.binary("a", where="b"), mz.Task.binary("b", where="c"), mz.Task.binary("c", where="a")],
            "must not lead back to it. Received: a where b where c where a",
        ),
        ([SONG, mz.Task.binary("a", where="song")], r"one number per row.*where='song', .* shape \(2,\)"),
    ],
)
def test_names_that_cannot_be_meant(tasks, message):
    with pytest.raises(ValueError, match=message):
        with_spaces(tasks)
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    with pytest.raises(ValueError, match=message):
        mz.Trainer(model, tasks)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (lambda labels: labels["click"], "must return one boolean per row"),
        (lambda labels: labels["click"][:1] == 1, "must return one boolean per row"),
        (lambda labels: labels["song"] > 0, "must return one boolean per row"),
        (lambda labels: True, "must return one boolean per row"),
        (lambda labels: labels["like"] > 0, r"must read labels that the data have.*one that reads 'like'"),
    ],
)
def test_functions_that_cannot_be_meant(where, message):
    with pytest.raises(ValueError, match=message):
        mz.Task.binary("buy", where=where).labels_of(LABELS)


def test_tasks_leave_the_devices_to_be_configured():
    script = """
import tensorflow as tf
import mtl_zoo as mz
a, b, c = mz.Task.classification("a", 3), mz.Task.regression("b", where="a"), mz.Task.binary("c", where="a")
mz.with_spaces([a, b, c])
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
assert len(tf.config.list_logical_devices("CPU")) == 2
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_tasks_whose_labels_cannot_be_left_out():
    with pytest.raises(ValueError, match=r"`where` must be the name of another task.*Received: where=1"):
        mz.Task.binary("a", where=1)
    odd = dataclasses.replace(mz.Task.classification("a", 3), missing=lambda labels: labels == 255)
    with pytest.raises(ValueError, match="`missing` of task 'a' must be true for -1 and NaN"):
        dataclasses.replace(odd, where="click")
    whole = mz.Task.regression("a", loss=keras.losses.CosineSimilarity())
    with pytest.raises(ValueError, match="of the whole batch, of which no row can be left out"):
        dataclasses.replace(whole, per="batch", where="click")
