import dataclasses

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import mtl_zoo as mz
from mtl_zoo import class_weights

RANDOM = np.random.default_rng(0)
OF_NUMBERS = r"`class_weight of task 't'` must .*Received"


def test_class_weights_are_weights_of_items():
    logits, labels = RANDOM.normal(size=(6, 3)).astype("float32"), np.array([0, 2, -1, 1, 2, 2])
    task = mz.Task.classification("kind", 3)
    weighted = mz.Task.classification("kind", 3, class_weight={0: 4, 2: 0.5})
    of_items, of_examples = np.array([4, 0.5, 1, 1, 0.5, 0.5]), np.array([1, 2, 3, 4, 5, 6.0])
    np.testing.assert_allclose(
        weighted.compute_loss(labels, logits, of_examples),
        task.compute_loss(labels, logits, of_items * of_examples),
        rtol=1e-6,
    )


def test_with_another_reduction_class_weights_do_not_count_in_the_divisor():
    logits, labels = RANDOM.normal(size=(4, 3)).astype("float32"), np.array([0, 2, -1, 1])
    task = mz.Task.classification("kind", 3, class_weight={0: 4})
    task = dataclasses.replace(task, reduction="sum_over_batch_size")
    losses = np.log(np.sum(np.exp(logits), axis=1)) - logits[range(4), labels]
    expected = (4 * losses[0] + losses[1] + losses[3]) / 3
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "table"),
    [({1: 5}, [[1, 5], [1, 5], [1, 5]]), ([{0: 2}, {}, {0: 3, 1: 4}], [[2, 1], [1, 1], [3, 4]])],
)
def test_several_labels_have_weights_of_their_own(given, table):
    labels = np.array([[1, 0, 1], [0, -1, 0]])
    logits = RANDOM.normal(size=(2, 3)).astype("float32")
    weights = np.array([[table[column][max(0, row[column])] for column in range(3)] for row in labels])
    task = mz.Task.multilabel("tags", 3)
    np.testing.assert_allclose(
        dataclasses.replace(task, class_weight=given).compute_loss(labels, logits),
        task.compute_loss(labels, logits, weights),
        rtol=1e-6,
    )


def test_class_weights_are_of_pixels_and_tokens_too():
    labels, logits = np.array([[0, 1, -1], [1, 1, 0]]), RANDOM.normal(size=(2, 3, 2)).astype("float32")
    weights = np.where(labels == 1, 7, 1)
    task = mz.Task.tagging("tag", 2, class_weight={1: 7})
    expected = mz.Task.tagging("tag", 2).compute_loss(labels, logits, weights)
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = RANDOM.choice(4, 50, p=[0.1, 0.2, 0.3, 0.4])
    task = mz.Task.classification("kind", 4, class_weight="balanced")
    found = class_weights.balanced(class_weights.counts(task, np.append(labels, [-1, -1])))
    np.testing.assert_allclose(found[0], compute_class_weight("balanced", classes=np.arange(4), y=labels))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: mz.Task.binary("t", class_weight={2: 1.0}),
            OF_NUMBERS,
        ),
        (
            lambda: mz.Task.binary("t", class_weight={1: -1.0}),
            OF_NUMBERS,
        ),
        (
            lambda: mz.Task.binary("t", class_weight="even"),
            r"must be 'balanced' or a dict",
        ),
        (lambda: mz.Task.multilabel("t", 3, class_weight=[{}]), r"or a list of 3 such dicts"),
        (
            lambda: dataclasses.replace(mz.Task.regression("t"), class_weight={0: 1.0}),
            r"`class_weight` must be for a task of classes",
        ),
        (
            lambda: mz.Task.segmentation("t", 2, loss=_of_images, class_weight={0: 1.0}),
            r"with a loss of every item",
        ),
        (
            lambda: mz.Task.binary("t", class_weight="balanced").compute_loss([1], [[0.0]]),
            r"'balanced' ones are counted by `Trainer\.fit`",
        ),
    ],
)
def test_wrong_class_weights_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def _of_images(labels, predictions):
    return keras.ops.mean(predictions[..., 0], axis=(1, 2)) * keras.ops.mean(labels, axis=(1, 2))
