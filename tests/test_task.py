import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.task import Task

NAN = np.nan


def cross_entropy(label, logits):
    return np.log(np.sum(np.exp(logits))) - logits[int(label)]


def binary_cross_entropy(label, logit):
    return np.log1p(np.exp(logit)) - label * logit


def squared_error(label, value):
    return np.mean((label - value) ** 2)


@dataclasses.dataclass
class Kind:
    """A task, the shapes of a batch, and the loss of one item in NumPy, at index `labels[:item_rank]`."""

    task: Task
    labels: tuple
    logits: tuple
    item_loss: callable
    item_rank: int

    def draw(self):
        """Return labels, every third of which is missing, and logits."""
        random = np.random.default_rng(1)
        logits = random.normal(size=self.logits).astype("float32")
        if self.item_loss is squared_error:
            labels = random.normal(size=self.labels).astype("float32")
        else:
            labels = random.integers(0, self.task.max_label + 1, self.labels)
        labels.flat[::3] = NAN if self.item_loss is squared_error else -1
        return labels, logits

    def expected(self, labels, logits, weights=None):
        """Return the weighted mean loss over the labelled items, one item after the other in float64."""
        weights = np.ones(self.labels) if weights is None else np.broadcast_to(weights, self.labels)
        total = mass = 0.0
        for item in np.ndindex(self.labels[: self.item_rank]):
            if np.any(np.isnan(labels[item])) or (self.item_loss is not squared_error and labels[item] < 0):
                continue
            weight = np.min(weights[item])
            total += weight * self.item_loss(labels[item], logits[item].astype("float64"))
            mass += weight
        return total / mass


KINDS = {
    "classification": Kind(Task.classification("t", 4), (7,), (7, 4), cross_entropy, 1),
    "binary": Kind(Task.binary("t"), (7, 1), (7, 1), binary_cross_entropy, 2),
    "multilabel": Kind(Task.multilabel("t", 3), (7, 3), (7, 3), binary_cross_entropy, 2),
    "regression": Kind(Task.regression("t", 3), (7, 3), (7, 3), squared_error, 2),
    "segmentation": Kind(Task.segmentation("t", 4), (2, 3, 5), (2, 3, 5, 4), cross_entropy, 3),
    "dense_regression": Kind(Task.dense_regression("t", 2), (2, 4, 5, 2), (2, 4, 5, 2), squared_error, 3),
    "tagging": Kind(Task.tagging("t", 4), (3, 5), (3, 5, 4), cross_entropy, 2),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def loss_and_gradient(task, labels, logits, sample_weight=None):
    logits = tf.convert_to_tensor(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = task.compute_loss(labels, logits, sample_weight)
    return loss, tape.gradient(loss, logits)


@pytest.mark.parametrize(
    ("task", "labels", "logits", "expected"),
    [
        # softmax(0, ln 3) = (1/4, 3/4)
        (Task.classification("t", 2), [1], [[0.0, math.log(3)]], math.log(4 / 3)),
        # sigmoid(ln 3) = 3/4
        (Task.binary("t"), [0], [[math.log(3)]], math.log(4)),
        (Task.multilabel("t", 2), [[0, 1]], [[math.log(3), 0.0]], (math.log(4) + math.log(2)) / 2),
        (Task.regression("t", 2), [[0.0, 1.0]], [[1.0, 4.0]], (1 + 9) / 2),
        (Task.regression("t"), [1.0, -1.0], [[3.0], [-2.0]], (4 + 1) / 2),
        (
            Task.segmentation("t", 2),
            [[[1, 0]]],
            [[[[0.0, math.log(3)], [0.0, 0.0]]]],
            (math.log(4 / 3) + math.log(2)) / 2,
        ),
        (Task.dense_regression("t", 2), [[[[0.0, 1.0]]]], [[[[1.0, 4.0]]]], (1 + 9) / 2),
        (Task.tagging("t", 2), [[1, -1]], [[[0.0, math.log(3)], [7.0, 0.0]]], math.log(4 / 3)),
    ],
)
def test_losses_by_hand(task, labels, logits, expected):
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-6)


@every_kind
def test_loss_is_the_mean_over_labelled_items(kind):
    labels, logits = kind.draw()
    np.testing.assert_allclose(
        kind.task.compute_loss(labels, logits), kind.expected(labels, logits), rtol=1e-5
    )


@every_kind
def test_missing_labels_get_no_gradient_however_large_their_logits(kind):
    labels, logits = kind.draw()
    missing = np.isnan(labels) | ((labels < 0) & (kind.item_loss is not squared_error))
    if kind.task.item_size > 1 and labels.ndim == logits.ndim:
        missing = np.broadcast_to(missing.any(axis=-1, keepdims=True), missing.shape)
    ordinary = kind.task.compute_loss(labels, logits)
    logits[missing] = 1e30
    loss, gradient = loss_and_gradient(kind.task, labels, logits)
    np.testing.assert_allclose(loss, ordinary, rtol=1e-6)
    assert np.all(gradient.numpy()[missing] == 0)
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient.numpy()[~missing] != 0)


@every_kind
def test_no_label_at_all_means_no_loss_and_no_gradient(kind):
    labels, logits = kind.draw()
    labels = np.full_like(labels, NAN if kind.item_loss is squared_error else -1)
    loss, gradient = loss_and_gradient(kind.task, labels, logits)
    assert loss == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


@every_kind
@pytest.mark.parametrize("sign", [1, 100])
def test_no_weight_at_all_means_no_loss_and_no_gradient(kind, sign):
    labels, logits = kind.draw()
    loss, gradient = loss_and_gradient(kind.task, labels, sign * logits, np.zeros(len(labels)))
    assert loss == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


@every_kind
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_sample_weights_compose_with_missing_labels(kind, rank):
    shape = kind.labels[: min(rank, kind.item_rank)]
    weights = np.random.default_rng(2).integers(0, 3, shape).astype("float32")
    labels, logits = kind.draw()
    broadcast = weights.reshape(shape + (1,) * (len(kind.labels) - len(shape)))
    expected = kind.expected(labels, logits, broadcast)
    for form in (weights, weights[..., None], 1e-6 * weights, weights.tolist()):
        np.testing.assert_allclose(kind.task.compute_loss(labels, logits, form), expected, rtol=1e-5)


def test_weighted_mean_by_hand():
    task = Task.regression("t")
    loss = task.compute_loss([0.0, 0.0, NAN], [[1.0], [2.0], [9.0]], sample_weight=[3.0, 1.0, 5.0])
    assert float(loss) == (3 * 1 + 1 * 4) / (3 + 1)


@every_kind
def test_float_labels_may_be_missing_in_both_ways(kind):
    labels, logits = kind.draw()
    expected = kind.task.compute_loss(labels, logits)
    stored = labels.astype("float32")
    stored[np.isnan(stored)] = NAN
    np.testing.assert_allclose(kind.task.compute_loss(stored, logits), expected, rtol=1e-6)
    if kind.item_loss is not squared_error:
        stored[stored < 0] = NAN
        np.testing.assert_allclose(kind.task.compute_loss(stored, logits), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16"])
def test_class_labels_of_any_type(dtype):
    logits = np.array([[0.5, 2.0], [1.0, -1.0]], "float32")
    for task, used in ((Task.classification("t", 2), logits), (Task.binary("t"), logits[:, :1])):
        labels = np.array([1, 0])
        np.testing.assert_allclose(
            task.compute_loss(labels.astype(dtype), used), task.compute_loss(labels, used), rtol=1e-6
        )
        assert task.out_of_range(labels.astype(dtype)) == 0


def test_negative_targets_of_a_regression_are_values():
    task = Task.regression("t")
    assert task.compute_loss(np.array([-2, 1]), [[0.0], [0.0]]) == (4 + 1) / 2


@every_kind
def test_a_trailing_axis_of_one_may_be_absent_or_added(kind):
    labels, logits = kind.draw()
    other = labels[..., 0] if labels.shape[-1] == 1 else labels[..., None]
    assert kind.task.compute_loss(other, logits) == kind.task.compute_loss(labels, logits)


@every_kind
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_are_float32(kind, dtype):
    labels, logits = kind.draw()
    rounded = tf.cast(logits, dtype)
    loss = kind.task.compute_loss(labels, rounded)
    assert loss.dtype == tf.float32
    np.testing.assert_allclose(loss, kind.expected(labels, tf.cast(rounded, tf.float32).numpy()), rtol=1e-5)


@every_kind
def test_compiled_for_unknown_sizes_equals_eager(kind):
    labels, logits = kind.draw()
    weights = np.arange(len(labels), dtype="float32")
    signature = [
        tf.TensorSpec([None] * labels.ndim, labels.dtype),
        tf.TensorSpec([None] * (logits.ndim - 1) + [logits.shape[-1]], "float32"),
        tf.TensorSpec([None], "float32"),
    ]
    compiled = tf.function(
        lambda *batch: loss_and_gradient(kind.task, *batch), input_signature=signature, jit_compile=True
    )
    for found, expected in zip(
        compiled(labels, logits, weights), loss_and_gradient(kind.task, labels, logits, weights), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def measured(task, labels, logits, sample_weight=None):
    """Return the task's metrics of one batch by name, fed as the trainer does."""
    labels, logits, weights = task.items(labels, logits, sample_weight)
    metrics = [metric() for metric in task.metrics]
    for metric in metrics:
        metric.update_state(labels, task.activation(logits), sample_weight=weights)
    return {metric.name: float(metric.result()) for metric in metrics}


HIT, MISS = [0.0, 9.0], [9.0, 0.0]  # logits for the label 1


@pytest.mark.parametrize(
    ("task", "labels", "logits", "sample_weight", "expected"),
    [
        (
            Task.classification("t", 2),
            [1, 1, -1, 1],
            [HIT, MISS, MISS, HIT],
            [3, 1, 1, 1],
            {"accuracy": 4 / 5},
        ),
        # Labels 1 score 2 and -1, labels 0 score 1 and -3: three of four pairs in order. Signs: 1, 0, 0, 1.
        (
            Task.binary("t"),
            [1, 1, 0, 0, -1],
            [[2.0], [-1.0], [1.0], [-3.0], [99.0]],
            None,
            {"accuracy": 1 / 2, "auc": 3 / 4},
        ),
        (
            Task.multilabel("t", 2),
            [[1, 0], [-1, 0]],
            [[5.0, -5.0], [-5.0, 5.0]],
            None,
            {
                "accuracy": 2 / 3,
                "auc": 3 / 4,
            },  # one of two pairs in order, the other a tie at this resolution
        ),
        (
            Task.regression("t", 2),
            [[0.0, 0.0], [NAN, 0.0]],
            [[3.0, 0.0], [50.0, 1.0]],
            [1, 2],
            {"mean_absolute_error": (3 + 2) / 4, "root_mean_squared_error": math.sqrt((9 + 2) / 4)},
        ),
        # Class 1: 1 pixel right of 2; class 0: 1 right, 2 predicted. Weighted: IoU 1/2, 2/3.
        (
            Task.segmentation("t", 2),
            [[[1, 1], [0, -1]]],
            [[[HIT, MISS], [MISS, HIT]]],
            None,
            {"accuracy": 2 / 3, "mean_iou": (1 / 2 + 1 / 2) / 2},
        ),
        (
            Task.segmentation("t", 2),
            [[[1, 1], [0, -1]]],
            [[[HIT, MISS], [MISS, HIT]]],
            [[[0.25, 0.25], [0.5, 1.0]]],
            {"accuracy": 3 / 4, "mean_iou": (1 / 2 + 2 / 3) / 2},
        ),
        (
            Task.dense_regression("t", 2),
            [[[[0.0, 0.0], [NAN, 0.0]]]],
            [[[[3.0, 1.0], [7.0, 7.0]]]],
            None,
            {"mean_absolute_error": 2.0, "root_mean_squared_error": math.sqrt(5)},
        ),
        (Task.tagging("t", 2), [[1, 1, -1]], [[HIT, MISS, MISS]], None, {"accuracy": 1 / 2}),
    ],
)
def test_metrics_by_hand_leave_missing_labels_out(task, labels, logits, sample_weight, expected):
    assert measured(task, labels, logits, sample_weight) == pytest.approx(expected, abs=1e-3)


@every_kind
def test_metrics_are_fresh_at_every_call(kind):
    labels, logits = kind.draw()
    once = measured(kind.task, labels, logits)
    measured(kind.task, labels, -logits)
    assert measured(kind.task, labels, logits) == once
    first, second = kind.task.metrics[0](), kind.task.metrics[0]()
    assert first is not second
    assert not {id(v) for v in first.variables} & {id(v) for v in second.variables}


@every_kind
def test_activation(kind):
    logits = np.array([[0.0, math.log(3)]], "float32")
    softmax, sigmoid, linear = [[0.25, 0.75]], [[0.5, 0.75]], logits
    expected = {cross_entropy: softmax, binary_cross_entropy: sigmoid, squared_error: linear}
    np.testing.assert_allclose(kind.task.activation(tf.constant(logits)), expected[kind.item_loss], rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        (Task.classification("t", 3), [0, 2, 3, 9, -1, -7], 2),
        (Task.classification("t", 3), [0.0, 3.0, NAN, -1.0, np.inf, -np.inf], 2),
        (Task.classification("t", 300), np.array([100, 255], "uint8"), 0),
        (Task.binary("t"), [0, 1, 2, -1], 1),
        (Task.multilabel("t", 2), [[0.0, 0.5], [1.5, NAN]], 1),
        (Task.regression("t"), [-1e9, NAN, np.inf, -np.inf], 2),
        (Task.regression("t"), [-3, 1000], 0),
        (Task.segmentation("t", 2), [[[0, 2], [2, -1]]], 2),
        (Task.dense_regression("t", 1), [[[[np.inf], [0.0]]]], 1),
        (Task.tagging("t", 5), [[5, 4, -1]], 1),
    ],
)
def test_out_of_range_counts_labels_neither_missing_nor_valid(task, labels, expected):
    assert task.out_of_range(np.array(labels)) == expected


@pytest.mark.parametrize("convert", [np.array, tf.constant])
@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        (Task.classification("t", 3), [0.0, 1.1, 1.9, 2.0, NAN, -0.5, np.inf], 2),
        (Task.binary("t"), [0, 1, 1, -1], 0),
        (Task.multilabel("t", 2), [[0.0, 0.5], [1.0, NAN]], 1),
        (dataclasses.replace(Task.binary("t"), max_label=None), [0.5, 1.0], 0),
        (Task.regression("t"), [0.5, 1.5], 0),
    ],
)
def test_not_whole_counts_labels_between_classes(task, labels, expected, convert):
    assert task.not_whole(convert(labels)) == expected


@every_kind
def test_the_output_that_a_task_asks_for_fits_its_labels(kind):
    assert len(kind.task.output_shape) == len(kind.logits) - 1
    assert len(kind.task.label_shape) == len(kind.labels) - 1
    for shape, batch in ((kind.task.output_shape, kind.logits), (kind.task.label_shape, kind.labels)):
        assert all(size in (None, given) for size, given in zip(shape, batch[1:], strict=True))
    assert kind.task.labels_are_indices == (kind.item_loss is cross_entropy)


@pytest.mark.parametrize(
    ("task", "output_shape", "label_shape"),
    [
        (Task.segmentation("t", 4, size=(3, 5)), (3, 5, 4), (3, 5)),
        (Task.segmentation("t", 4, size=[3, 5]), (3, 5, 4), (3, 5)),
        (Task.segmentation("t", 4), (None, None, 4), (None, None)),
        (Task.dense_regression("t", 2, size=(3, 5)), (3, 5, 2), (3, 5, 2)),
        (Task.dense_regression("t", 2), (None, None, 2), (None, None, 2)),
    ],
)
def test_a_size_makes_the_shapes_of_a_dense_task_concrete(task, output_shape, label_shape):
    assert (task.output_shape, task.label_shape) == (output_shape, label_shape)


@pytest.mark.parametrize("constructor", [Task.segmentation, Task.dense_regression])
@pytest.mark.parametrize("size", [5, (5,), (3, 5, 2), (3, 0), (3.0, 5), (None, 5), "35"])
def test_a_size_is_a_pair(constructor, size):
    with pytest.raises(ValueError, match=r"must be a pair of a height and a width. Received: size="):
        constructor("t", 2, size=size)


def test_a_copy_with_another_name_keeps_the_key_of_the_labels():
    task = Task.binary("click")
    assert task.label_name == "click"
    copy = dataclasses.replace(task, name="first_guess")
    assert (copy.name, copy.label_name) == ("first_guess", "click")
    assert dataclasses.replace(copy, label_name="").label_name == "first_guess"


def test_tasks_are_frozen_and_adjusted_by_replace():
    task = Task.classification("digit", 10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"
    absolute = dataclasses.replace(Task.regression("t"), loss=keras.losses.mean_absolute_error)
    assert absolute.compute_loss([0.0, NAN, 2.0], [[3.0], [0.0], [1.0]]) == (3 + 1) / 2


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", "a/b", "_a", "größe", "点击"])
def test_a_name_must_be_english_letters_digits_and_underscores(name):
    with pytest.raises(ValueError, match=rf"must be English letters, digits and .* Received: name='{name}'"):
        Task.binary(name)


@pytest.mark.parametrize("constructor", [Task.classification, Task.segmentation, Task.tagging])
def test_a_task_needs_an_output(constructor):
    with pytest.raises(ValueError, match=r"'t' must have at least one output. Received: output_shape="):
        constructor("t", 0)


@pytest.mark.parametrize(("kind", "activation"), [("tagging", "softmax"), ("multilabel", "sigmoid")])
def test_probabilities_in_a_loop_of_ones_own(kind, activation):
    """A model's probabilities are not activated again, and its mask counts."""
    task = getattr(Task, kind)("t", 3)
    dense = keras.layers.Dense(3)
    x = np.random.default_rng(0).normal(size=(2, 4, 5) if kind == "tagging" else (2, 5)).astype("float32")
    logits, labels = dense(x), np.ones((2, 4) if kind == "tagging" else (2, 3), int)
    given = keras.layers.Activation(activation)(logits)
    np.testing.assert_allclose(task.compute_loss(labels, given), task.compute_loss(labels, logits))
    if kind == "tagging":
        given._keras_mask = keras.ops.convert_to_tensor([[True, True, False, False]] * 2)
        expected = task.compute_loss(labels[:, :2], logits[:, :2])
        np.testing.assert_allclose(task.compute_loss(labels, given), expected, rtol=1e-6)
