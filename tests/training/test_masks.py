"""Padding that a model masks: neither a label nor a number."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.items import hidden

LAYERS = keras.layers
TASKS = (mz.Task.tagging("tag", 3), mz.Task.classification("kind", 2))
TOKENS = np.array([[3, 4, 0, 0], [5, 6, 7, 0], [2, 0, 0, 0], [9, 8, 1, 2]])
TAGS = np.array([[1, 2, 0, 0], [0, 1, 1, 0], [2, 0, 0, 0], [0, 1, 2, 1]])  # padding is 0, as a class is
LABELS = {"tag": TAGS, "kind": np.array([0, 1, 1, 0])}


def make_model():
    keras.utils.set_random_seed(0)
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    x = LAYERS.GRU(5, return_sequences=True)(LAYERS.Embedding(10, 4, mask_zero=True)(tokens))
    last = LAYERS.GlobalAveragePooling1D()(x)
    return keras.Model(tokens, {"tag": LAYERS.Dense(3)(x), "kind": LAYERS.Dense(2)(last)})


class Subclassed(keras.Model):
    def __init__(self, model):
        super().__init__()
        self.inner = model

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


def evaluated(trainer, tags):
    labels = LABELS | {"tag": tags}
    return trainer.evaluate(TOKENS, labels, batch_size=3, verbose=0, return_dict=True)


@pytest.mark.parametrize("wrap", [lambda model: model, Subclassed], ids=["functional", "subclassed"])
def test_masked_places_are_as_good_as_missing(wrap):
    model = wrap(make_model())
    model(TOKENS)
    trainer = mz.Trainer(model, TASKS)
    trainer.compile("sgd")
    expected = evaluated(trainer, np.where(TOKENS > 0, TAGS, -1))
    assert evaluated(trainer, TAGS) == pytest.approx(expected, rel=1e-5)
    assert evaluated(trainer, np.where(TOKENS > 0, TAGS, 2)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("space", ["shared", "representation"])
@pytest.mark.parametrize(("method", "accumulate"), [(None, 1), (None, 2), (mz.aggregators.PCGrad, 1)])
def test_updates_do_not_depend_on_labels_of_padding(space, method, accumulate):
    model, found = make_model(), []
    start = model.get_weights()
    trainer = mz.Trainer(model, TASKS, None, method and method(seed=0), space, accumulate)
    trainer.compile(keras.optimizers.SGD(0.5))
    for tags in (TAGS, np.where(TOKENS > 0, TAGS, -1), np.where(TOKENS > 0, TAGS, 2)):
        model.set_weights(start)  # to compile a step takes longer than to train
        data = tf.data.Dataset.from_tensor_slices((TOKENS, LABELS | {"tag": tags})).batch(4 // accumulate)
        history = trainer.fit(data, epochs=2, verbose=0, shuffle=False).history
        found.append((model.get_weights(), history))
    for weights, history in found[1:]:
        assert history["tag_loss"] == pytest.approx(found[0][1]["tag_loss"], rel=1e-5)
        for one, other in zip(weights, found[0][0], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_representation_space_keeps_the_masks_of_what_it_cuts():
    """`Sum` of the gradients at the cut is no aggregator, also behind layers that need the mask."""
    weights = []
    for method, space in ((None, "shared"), (mz.aggregators.Sum, "representation")):
        keras.utils.set_random_seed(0)
        tokens = keras.Input((4,), dtype="int32", name="tokens")
        x = LAYERS.Embedding(10, 4, mask_zero=True)(tokens)
        tags, states = LAYERS.GRU(5, return_sequences=True)(x), LAYERS.GRU(3)(x)
        model = keras.Model(tokens, {"tag": LAYERS.Dense(3)(tags), "kind": LAYERS.Dense(2)(states)})
        trainer = mz.Trainer(model, TASKS, aggregator=method and method(), space=space)
        trainer.compile(keras.optimizers.SGD(0.5))
        trainer.fit(TOKENS, LABELS, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_loss_of_whole_examples_with_a_mask():
    task = mz.Task.regression("path", 2, loss=lambda y, p: keras.ops.mean(keras.ops.square(y - p)))
    with pytest.raises(ValueError, match=r"loss of task 'path' takes whole examples, so .* no mask of Keras"):
        hidden(task, np.zeros((2, 2)), np.ones((2,), bool))


def test_labels_of_numbers_are_hidden_as_nan():
    task = mz.Task.dense_regression("depth", 1)
    found = hidden(task, np.ones((1, 2, 1)), np.array([[True, False]]))
    np.testing.assert_array_equal(found, [[[1.0], [np.nan]]])


def test_a_whole_number_of_a_regression_is_missing_where_it_is_padding():
    found = hidden(mz.Task.dense_regression("depth", 1), np.array([[[1], [-1]]]), np.array([[True, False]]))
    np.testing.assert_array_equal(found, [[[1.0], [np.nan]]])


def test_labels_that_cannot_be_made_missing_are_refused():
    odd = dataclasses.replace(TASKS[0], missing=lambda labels: keras.ops.equal(labels, 255))
    with pytest.raises(ValueError, match="`missing` of task 'tag' must be true for -1 and NaN"):
        mz.Trainer(make_model(), [odd, TASKS[1]])
