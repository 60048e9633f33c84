"""Losses of single items: which number belongs to what, and logits instead of probabilities."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from mtl_zoo import Task, losses

KERAS = keras.losses


def per_value(labels, outputs):
    return ops.mean(ops.abs(labels - outputs), axis=-1)


def of_the_whole(labels, outputs):
    return ops.mean(ops.square(labels - outputs))


def of_neighbours(labels, outputs):
    """Depends on what stands next to a value."""
    return ops.mean(ops.square(ops.cumsum(labels - outputs, axis=1)), axis=(1, 2))


@pytest.mark.parametrize(
    ("loss", "output_shape", "label_shape", "unit"),
    [
        ("mse", (3,), (3,), "value"),
        (KERAS.Huber(), (None, 2), (None, 2), "value"),
        (KERAS.BinaryCrossentropy(reduction="sum"), (3,), (3,), "value"),
        (per_value, (3,), (3,), "value"),
        (lambda labels, outputs: ops.square(labels - outputs), (3,), (3,), "value"),
        ("cosine_similarity", (3,), (3,), "vector"),
        ("categorical_crossentropy", (None, 4), (None, 4), "vector"),
        ("sparse_categorical_crossentropy", (None, None, 4), (None, None), "vector"),
        (of_neighbours, (5, 2), (5, 2), "example"),
        (KERAS.CTC(), (6, 5), (None,), "example"),
        (of_the_whole, (3,), (3,), "batch"),
        (KERAS.Dice(), (3,), (3,), "batch"),
    ],
)
def test_what_a_loss_gives_a_number_for(loss, output_shape, label_shape, unit):
    function = losses.on_logits(losses.find(loss), keras.activations.linear, from_logits=True)
    assert losses.unit(function, output_shape, label_shape) == unit


def test_a_loss_that_does_not_take_the_shapes():
    message = (
        r"`loss` must take labels of shape \(None, 3\) and outputs of shape \(None, 3\). Received: sparse_"
    )
    with pytest.raises(ValueError, match=message):
        losses.unit(losses.find("sparse_categorical_crossentropy"), (3,), (3,))


@pytest.mark.parametrize("loss", ["no_such_loss", 3, None])
def test_what_is_no_loss(loss):
    with pytest.raises(
        ValueError, match=r"`loss` must be a `keras.losses.Loss`, the name .* Received: loss="
    ):
        losses.find(loss)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        (KERAS.BinaryCrossentropy(label_smoothing=0.2), keras.activations.sigmoid),
        (KERAS.BinaryFocalCrossentropy(), keras.activations.sigmoid),
        (KERAS.CategoricalCrossentropy(), keras.activations.softmax),
        (KERAS.SparseCategoricalCrossentropy(), keras.activations.softmax),
        ("mse", keras.activations.sigmoid),
    ],
)
def test_a_loss_of_predictions_on_logits(loss, activation):
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    labels = np.eye(4, 3, dtype="float32")
    if losses.name_of(losses.find(loss)) == losses.SPARSE:
        labels = np.array([0, 2, 1, 1])
    found = losses.on_logits(losses.find(loss), activation)(labels, logits)
    expected = KERAS.get(loss)(labels, activation(ops.convert_to_tensor(logits)))
    np.testing.assert_allclose(np.mean(found), np.mean(expected), rtol=1e-5)


def test_a_crossentropy_of_a_huge_logit_is_exact():
    loss = losses.on_logits(losses.find("binary_crossentropy"), keras.activations.sigmoid)
    np.testing.assert_allclose(loss(np.zeros((1, 1)), np.full((1, 1), 300.0)), [300.0])


def test_a_loss_with_a_reduction_of_its_own_is_taken_item_by_item():
    """Of the labelled half of the values, whatever `Huber` would have summed up."""
    task = Task.regression("price", loss=KERAS.Huber(reduction="sum"))
    labels, outputs = np.array([1.0, np.nan, 3.0, np.nan]), np.array([[3.0], [9.0], [3.5], [9.0]])
    assert float(task.compute_loss(labels, outputs)) == pytest.approx((1.5 + 0.125) / 2)
    weighted = task.compute_loss(labels, outputs, np.array([3.0, 1.0, 1.0, 1.0]))
    assert float(weighted) == pytest.approx((3 * 1.5 + 0.125) / 4)


def test_a_class_that_a_loss_ignores_is_missing():
    loss = KERAS.SparseCategoricalCrossentropy(ignore_class=2)
    task = Task.segmentation("mask", 3, loss=loss)
    logits = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype("float32")
    labels = np.array([[[0, 2], [1, 2]]])
    expected = KERAS.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)(labels, logits)
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [of_the_whole, KERAS.Dice()])
def test_a_loss_of_the_whole_batch(loss):
    task = Task.regression("price", 3, loss=loss)
    random = np.random.default_rng(0)
    labels, outputs = random.uniform(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(task.compute_loss(labels, outputs), loss(labels, outputs), rtol=1e-6)


def test_a_loss_of_examples_leaves_out_those_with_a_missing_part():
    task = Task.regression("path", 3, loss=lambda y, p: ops.sqrt(ops.sum(ops.square(y - p), axis=-1)))
    assert task.per == "item"
    assert task.item_size == 3
    labels = np.array([[3.0, 4.0, 0.0], [np.nan, 1.0, 1.0]])
    assert float(task.compute_loss(labels, np.zeros((2, 3)))) == pytest.approx(5.0)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_reductions_are_those_of_keras(reduction):
    random = np.random.default_rng(0)
    labels, outputs = random.normal(size=(2, 5, 1)).astype("float32")
    weights = np.array([0.0, 1.0, 2.0, 0.5, 3.0], "float32")
    task = dataclasses.replace(Task.regression("price"), reduction=reduction)
    expected = KERAS.MeanSquaredError(reduction=reduction)(labels, outputs, weights)
    np.testing.assert_allclose(task.compute_loss(labels, outputs, weights), expected, rtol=1e-5)


def test_a_function_that_reduces_is_refused_as_a_field():
    task = dataclasses.replace(Task.regression("price"), loss=of_the_whole)
    with pytest.raises(
        ValueError, match="loss of task 'price' must return one number per item, without redu"
    ):
        task.compute_loss(np.zeros(3), np.zeros((3, 1)))
