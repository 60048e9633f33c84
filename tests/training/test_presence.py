import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.presence import LabelCounts

CLICK, PRICE = mz.Task.binary("click"), mz.Task.regression("price")
X = np.ones((10, 2), "float32")
PRESENT = {"click": np.array([0, 1] * 5), "price": np.arange(10.0)}


@pytest.fixture
def trainer():
    x = keras.Input((2,))
    model = keras.Model(x, {name: keras.layers.Dense(1)(x) for name in ("click", "price")})
    trainer = mz.Trainer(model, [CLICK, PRICE])
    trainer.compile("sgd", run_eagerly=True)
    return trainer


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def test_fit_says_once_that_much_is_missing(trainer, caplog):
    labels = {"click": np.array([1, 1, 0, -1, -1, -1, -1, -1, -1, -1]), "price": PRESENT["price"]}
    trainer.fit(X, labels, batch_size=4, epochs=2, verbose=0, sample_weight=np.full(10, 7.0))
    trainer.evaluate(X, labels, verbose=0)
    assert said(caplog) == [
        "Of 10 labels of task 'click' 7 are missing (below 0 or NaN); "
        "labels of a binary task are 0 and 1, below 0 is missing"
    ]


@pytest.mark.parametrize(
    ("task", "labels", "number"),
    [
        (CLICK, [1, 1, 1, -1], 1),  # -1 and 1 for no and yes
        (CLICK, [True, False], 0),
        (CLICK, [0.3, 1.0, np.nan, 0.0], 0),
        (CLICK, [0, 1, -1, -1], 0),  # half
        (CLICK, [0, -1, -1], 2),
        (CLICK, [1, 1, 1], 0),
        (CLICK, [-1, -1], 0),  # of which nothing is measured: said elsewhere
        (PRICE, [np.nan, np.nan, -5.0], 2),
        (PRICE, [-1.0, -2.0, 3.0], 0),
        (mz.Task.multilabel("tags", 2), [[-1, 1], [-1, 0], [-1, -1]], 4),
        (mz.Task.tagging("tag", 3), [[0, 1, -1], [2, -1, -1]], 0),
    ],
)
def test_missing_labels_are_counted(task, labels, number):
    counts = LabelCounts([task])
    counts.update_state({task.name: np.asarray(labels)})
    found = counts.warnings()
    assert list(found) == ([task.name] if number else [])
    assert not number or f" {number} are missing" in found[task.name]


def test_masks_are_no_missing_labels(caplog):
    words = keras.Input((4,), dtype="int32")
    x = keras.layers.Embedding(5, 3, mask_zero=True)(words)
    task = mz.Task.tagging("tag", 2)
    trainer = mz.Trainer(keras.Model(words, {"tag": keras.layers.Dense(2)(x)}), [task])
    trainer.compile("sgd", run_eagerly=True)
    trainer.fit(np.array([[1, 0, 0, 0]] * 2), {"tag": np.zeros((2, 4), int)}, verbose=0)
    assert not said(caplog)


def test_it_counts_in_a_compiled_step():
    counts = LabelCounts([CLICK, PRICE])
    tf.function(counts.update_state, jit_compile=True)(tf.nest.map_structure(tf.constant, PRESENT))
    np.testing.assert_array_equal(counts.result(), [[10, 0, 5], [10, 0, 0]])
