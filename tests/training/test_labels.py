import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.training.border import Border

TASKS = [mz.Task.classification("digit", 3), mz.Task.regression("size")]
X = np.arange(12, dtype="float32").reshape(6, 2)
LABELS = {"digit": np.array([0, 1, 2, -1, 0, 1]), "size": np.array([[0.0], [np.nan], [2], [3], [4], [5]])}
DIGIT_7 = {**LABELS, "digit": np.array([0, 1, 2, -1, 7, 1])}  # in the third batch of two
SIZE_INF = {**LABELS, "size": np.array([0, 1, 2, 3, 4, np.inf])}


@pytest.fixture(scope="module")
def trainer():
    model = mz.architectures.hard_sharing(keras.Input((2,)), TASKS, mz.encoders.mlp(2))
    trainer = mz.Trainer(model, TASKS)
    trainer.compile("sgd", run_eagerly=True)
    return trainer


def dataset(labels=LABELS, *weights, batch_size=2):
    return tf.data.Dataset.from_tensor_slices((X, labels, *weights)).batch(batch_size)


def checked(x, y, tasks):
    return Border(tasks).admit(x, y)[0]


def raises(message):
    """Expect one clear line."""
    return pytest.raises(ValueError, match=rf"\A{re.escape(message)}[^\n]*\Z")


@pytest.mark.parametrize("make", [lambda labels: (X, labels), lambda labels: (dataset(labels),)])
@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (DIGIT_7, "Labels of task 'digit' must be at most 2, or missing (below 0 or NaN)."),
        (SIZE_INF, "Labels of task 'size' must be finite, or missing (below 0 or NaN)."),
        (
            {**LABELS, "size": np.zeros((6, 2))},
            "Labels of task 'size' must have shape (None, 1). Received: (",
        ),
        (
            {**LABELS, "digit": np.zeros((6, 3))},
            "Labels of task 'digit' must have shape (None,). Received: (",
        ),
        ({"digit": LABELS["digit"]}, "Every task must have labels. Received tasks ['digit', 'size'], but"),
        (LABELS["digit"], "Labels must be a dict with the keys ['digit', 'size']. Received: "),
    ],
)
def test_wrong_labels_are_one_clear_error(trainer, make, method, labels, message):
    with raises(message):
        getattr(trainer, method)(*make(labels), verbose=0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, {**LABELS, "digit": [0] * 6}), "Labels of task 'digit' must be an array or a tensor."),
        (
            (X[:0], {name: y[:0] for name, y in LABELS.items()}),
            "Labels of task 'digit' must have at least one",
        ),
        ((X,), "Labels must be a dict with the keys ['digit', 'size']. Received: NoneType"),
        ((dataset().take(0),), "A dataset must have at least one batch. Received: an empty dataset"),
        ((dataset().map(lambda x, y: x),), "A dataset must yield `(inputs, {task name: label})`. Received:"),
        ((dataset().map(lambda x, y: {"x": x}),), "A dataset must yield `(inputs, {task name: label})`."),
        ((dataset().unbatch(),), "Labels of task 'digit' must have shape (None,). Received: ()"),
    ],
)
def test_wrong_data_is_one_clear_error(trainer, data, message):
    with raises(message):
        trainer.fit(*data, verbose=0)


@pytest.mark.parametrize("make", [lambda labels: (X, labels), dataset])
def test_validation_labels_are_checked(trainer, make):
    with raises("Labels of task 'digit' must be at most 2"):
        trainer.fit(dataset(), validation_data=make(DIGIT_7), verbose=0)


def test_wrong_labels_are_one_clear_error_in_a_graph(trainer):
    graph = mz.Trainer(trainer.model, TASKS)
    graph.compile("sgd")
    with raises("Labels of task 'digit' must be at most 2"):
        graph.fit(dataset(DIGIT_7), verbose=0)


def test_every_label_out_of_range_is_counted():
    with pytest.raises(ValueError, match=r"Received: 2 out of range"):
        checked(X, {**LABELS, "digit": np.array([3, 3, 0, 0, 0, -5])}, TASKS)


def test_other_errors_pass_unchanged(trainer):
    def broken(x, y):
        with tf.control_dependencies([tf.debugging.assert_less(x, 5.0, message="not ours")]):
            return tf.identity(x), y

    with pytest.raises(tf.errors.InvalidArgumentError, match="not ours"):
        trainer.fit(dataset().map(broken), verbose=0)


def test_checking_changes_neither_data_nor_order():
    random = dataset(LABELS, np.arange(6.0)).repeat(9).shuffle(100, reshuffle_each_iteration=False)
    for found, expected in zip(checked(random, None, TASKS), random, strict=True):
        keras.tree.map_structure(np.testing.assert_array_equal, found, expected)


def test_sample_weights_of_a_dataset_count(trainer):
    weights = {"size": np.array([1.0, 9, 3, 0, 0, 0])}
    logs = trainer.evaluate(dataset(LABELS, weights, batch_size=6), return_dict=True, verbose=0)
    # The second label is missing, the last three have no weight.
    squares = (np.ravel(LABELS["size"]) - np.ravel(trainer(X)["size"])) ** 2
    assert logs["size_loss"] == pytest.approx((squares[0] + 3 * squares[2]) / 4, rel=1e-5)


def test_inputs_may_be_any_structure():
    inputs = {"a": X, "b": (X, X)}
    data = tf.data.Dataset.from_tensor_slices((inputs, LABELS)).batch(2)
    assert checked(data, None, TASKS).element_spec == data.element_spec


def test_shapes_of_dense_labels():
    tasks = [mz.Task.segmentation("mask", 3), mz.Task.dense_regression("depth", 1)]
    for mask, depth in (((2, 4, 4), (2, 4, 4)), ((2, 4, 4, 1), (2, 4, 4, 1))):
        checked(X[:2], {"mask": np.zeros(mask, int), "depth": np.zeros(depth)}, tasks)
    with raises("Labels of task 'mask' must have shape (None, None, None). Received: (2, 4)"):
        checked(X, {"mask": np.zeros((2, 4), int), "depth": np.zeros((2, 4, 4))}, tasks)


def test_sources_that_cannot_be_read_twice_pass_unchecked():
    generator = iter([(X, DIGIT_7)])
    assert checked(generator, None, TASKS) is generator
