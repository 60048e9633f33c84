import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from sklearn import metrics as sklearn_metrics

import mtl_zoo as mz
from mtl_zoo.training.task_metrics import TaskMetrics, is_defined

M = keras.metrics
N, CLASSES = 200, 3
part = functools.partial
every_share = pytest.mark.parametrize("share", [0.0, 0.4])


def with_metrics(task, *metrics):
    return dataclasses.replace(task, metrics=metrics)


def draw(task, share, shape=(), seed=0):
    """Return labels, some of which are missing (here NaN), logits, and where the labels are."""
    random = np.random.default_rng(seed)
    shape = (N, *shape) if task.labels_are_indices else (N, *shape, task.output_shape[-1])
    logits = random.normal(size=(*shape, CLASSES) if task.labels_are_indices else shape).astype("float32")
    if task.labels_are_indices:
        labels = np.argmax(logits + random.normal(size=logits.shape), axis=-1)
    elif task.max_label:
        labels = logits + random.normal(size=shape) > 0
    else:
        labels = logits + random.normal(size=shape)
    there = random.uniform(size=shape) >= share
    return np.where(there, labels, np.nan).astype("float32"), logits, there


def measured(task, labels, logits, sample_weight=None, batch=32):
    """Return the numbers that a trainer reports, batch after batch."""
    metrics = TaskMetrics(task)
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        weights = None if sample_weight is None else sample_weight[rows]
        items = task.items(labels[rows], logits[rows], weights)
        metrics.update_state(items, ops.convert_to_tensor(labels[rows]), weights)
    found = {name.removeprefix("t_"): float(value) for name, value in metrics.results().items()}
    assert list(found) == [name.removeprefix("t_") for name in metrics.names]
    return found


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def by_column(score, labels, predictions, there):
    """Return the mean over columns of a score of their labelled rows."""
    columns = zip(labels.T, predictions.T, there.T, strict=True)
    return np.mean([score(y[rows], p[rows]) for y, p, rows in columns])


@every_share
def test_metrics_of_a_multilabel_task_are_those_of_the_labelled_part(share):
    task = with_metrics(
        mz.Task.multilabel("t", 3),
        part(M.AUC, num_thresholds=5000, multi_label=True, num_labels=3, name="macro_auc"),
        part(M.AUC, num_thresholds=5000, name="micro_auc"),
        part(M.AUC, num_thresholds=5000, label_weights=[1.0, 0.0, 0.0], name="first_auc"),
        part(M.F1Score, "macro", threshold=0.5, name="macro_f1"),
        part(M.F1Score, "micro", threshold=0.5, name="micro_f1"),
        part(M.F1Score, None, threshold=0.5, name="f1"),
        part(M.F1Score, "macro", name="largest_f1"),
        part(M.Precision, class_id=1),
        part(M.Recall, thresholds=[0.3, 0.5]),
        part(M.BinaryAccuracy, name="accuracy"),
        part(M.BinaryIoU, name="iou"),
    )
    labels, logits, there = draw(task, share)
    found, p = measured(task, labels, logits), sigmoid(logits)
    y, chosen = np.where(there, labels, 0) > 0.5, p > 0.5
    largest = p == p.max(axis=1, keepdims=True)
    f1 = [sklearn_metrics.f1_score(y[:, c][there[:, c]], chosen[:, c][there[:, c]]) for c in range(3)]
    first, second = there[:, 0], there[:, 1]
    iou = sklearn_metrics.jaccard_score(y[there], chosen[there], average=None, labels=[0, 1])
    expected = {
        "macro_auc": by_column(sklearn_metrics.roc_auc_score, y, p, there),
        "micro_auc": sklearn_metrics.roc_auc_score(y[there], p[there]),
        "first_auc": sklearn_metrics.roc_auc_score(y[first, 0], p[first, 0]),
        "macro_f1": np.mean(f1),
        "micro_f1": sklearn_metrics.f1_score(y[there], chosen[there]),
        **{f"f1_{index}": value for index, value in enumerate(f1)},
        "largest_f1": by_column(sklearn_metrics.f1_score, y, largest, there),
        "precision": sklearn_metrics.precision_score(y[second, 1], chosen[second, 1]),
        "recall_0": sklearn_metrics.recall_score(y[there], p[there] > 0.3),
        "recall_1": sklearn_metrics.recall_score(y[there], chosen[there]),
        "accuracy": np.mean(y[there] == chosen[there]),
        "iou": np.mean(iou),
    }
    assert found == pytest.approx(expected, abs=1e-3)


@every_share
def test_metrics_of_a_classification_are_those_of_the_labelled_part(share):
    task = with_metrics(
        mz.Task.classification("t", CLASSES),
        part(M.AUC, num_thresholds=5000, multi_label=True, name="macro_auc"),
        part(M.AUC, num_thresholds=5000, name="micro_auc"),
        part(M.Precision, class_id=1),
        part(M.Recall, class_id=2),
        part(M.F1Score, "macro"),
        part(M.CategoricalAccuracy, name="accuracy"),
        part(M.SparseCategoricalAccuracy, name="sparse_accuracy"),
        part(M.TopKCategoricalAccuracy, k=2, name="top"),
        part(M.SparseTopKCategoricalAccuracy, k=2, name="sparse_top"),
        part(M.OneHotMeanIoU, CLASSES, name="iou"),
        part(M.MeanIoU, CLASSES, sparse_y_pred=False, name="sparse_iou"),
        part(M.MeanSquaredError, name="brier"),
    )
    labels, logits, there = draw(task, share)
    found, (y, p) = measured(task, labels, logits), (labels[there].astype(int), softmax(logits[there]))
    one_hot, top = np.eye(CLASSES)[y], p.argmax(axis=1)
    iou = sklearn_metrics.jaccard_score(y, top, average="macro")
    second = sklearn_metrics.top_k_accuracy_score(y, p, k=2)
    expected = {
        "macro_auc": sklearn_metrics.roc_auc_score(y, p, multi_class="ovr"),
        "micro_auc": sklearn_metrics.roc_auc_score(one_hot.ravel(), p.ravel()),
        "precision": sklearn_metrics.precision_score(y == 1, p[:, 1] > 0.5),
        "recall": sklearn_metrics.recall_score(y == 2, p[:, 2] > 0.5),
        "f1_score": sklearn_metrics.f1_score(y, top, average="macro"),
        **dict.fromkeys(["accuracy", "sparse_accuracy"], np.mean(y == top)),
        **dict.fromkeys(["top", "sparse_top"], second),
        **dict.fromkeys(["iou", "sparse_iou"], iou),
        "brier": np.mean((one_hot - p) ** 2),
    }
    assert found == pytest.approx(expected, abs=1e-3)


@every_share
def test_metrics_of_a_regression_are_those_of_the_labelled_part(share):
    task = with_metrics(
        mz.Task.regression("t", 2), M.R2Score, part(M.CosineSimilarity), part(M.MeanAbsoluteError, name="mae")
    )
    labels, logits, there = draw(task, share)
    whole = there.all(axis=1)
    a, b = labels[whole], logits[whole]
    cosine = np.mean(np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))
    expected = {
        "r2_score": by_column(sklearn_metrics.r2_score, labels, logits, there),
        "cosine_similarity": cosine,  # of examples that have both
        "mae": np.mean(np.abs(labels - logits)[there]),
    }
    assert measured(task, labels, logits) == pytest.approx(expected, abs=1e-3)


@every_share
@pytest.mark.parametrize("kind", ["tagging", "segmentation"])
def test_metrics_of_positions_are_those_of_the_labelled_ones(kind, share):
    shape = {"tagging": (4,), "segmentation": (2, 4)}[kind]
    task = with_metrics(
        getattr(mz.Task, kind)("t", CLASSES),
        part(M.F1Score, "macro"),
        part(M.Precision, class_id=1),
        part(M.OneHotMeanIoU, CLASSES, name="iou"),
        part(M.KLDivergence, name="kl"),
    )
    labels, logits, there = draw(task, share, shape)
    y, p = labels[there].astype(int), softmax(logits[there])
    expected = {
        "f1_score": sklearn_metrics.f1_score(y, p.argmax(axis=1), average="macro"),
        "precision": sklearn_metrics.precision_score(y == 1, p[:, 1] > 0.5),
        "iou": sklearn_metrics.jaccard_score(y, p.argmax(axis=1), average="macro"),
        "kl": sklearn_metrics.log_loss(y, p),  # of one-hot labels
    }
    assert measured(task, labels, logits) == pytest.approx(expected, abs=1e-3)


@every_share
def test_r2_of_maps_is_that_of_the_labelled_pixels(share):
    task = with_metrics(mz.Task.dense_regression("t", 2), M.R2Score)
    labels, logits, there = draw(task, share, (2, 3))
    whole = there.all(axis=-1)
    expected = sklearn_metrics.r2_score(labels[whole], logits[whole])
    assert measured(task, labels, logits)["r2_score"] == pytest.approx(expected, abs=1e-3)


def test_sample_weights_compose_with_missing_labels():
    task = with_metrics(
        mz.Task.multilabel("t", 3),
        part(M.F1Score, "macro", threshold=0.5),
        part(M.AUC, num_thresholds=5000, multi_label=True),
    )
    labels, logits, there = draw(task, 0.4)
    weights = np.random.default_rng(1).uniform(0.1, 2.0, N).astype("float32")
    y, p = np.where(there, labels, 0) > 0.5, sigmoid(logits)

    def mean(score, predictions):
        columns = zip(y.T, predictions.T, there.T, strict=True)
        return np.mean([score(a[rows], b[rows], sample_weight=weights[rows]) for a, b, rows in columns])

    expected = {
        "f1_score": mean(sklearn_metrics.f1_score, p > 0.5),
        "auc": mean(sklearn_metrics.roc_auc_score, p),
    }
    assert measured(task, labels, logits, weights) == pytest.approx(expected, abs=1e-3)


def test_f_scores_take_no_weights_of_single_values():
    task = with_metrics(mz.Task.multilabel("t", 3), part(M.F1Score, "macro"))
    labels, logits, _ = draw(task, 0.4)
    with pytest.raises(ValueError, match=r"one number per example, since metric 't_f1_score'.*\(32, 3\)"):
        measured(task, labels, logits, np.ones((N, 3), "float32"))


class Kappa(keras.metrics.Metric):
    """Cohen's kappa of class indices."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = self.add_variable((CLASSES, CLASSES), "zeros", name="table")

    def update_state(self, y_true, y_pred, sample_weight=None):
        rows = ops.one_hot(ops.cast(y_true, "int32"), CLASSES)
        columns = ops.one_hot(ops.argmax(y_pred, axis=-1), CLASSES)
        if sample_weight is not None:
            columns = columns * ops.expand_dims(ops.cast(sample_weight, "float32"), -1)
        rows, columns = ops.reshape(rows, (-1, CLASSES)), ops.reshape(columns, (-1, CLASSES))
        self.table.assign_add(ops.matmul(ops.transpose(rows), columns))

    def result(self):
        table = self.table / ops.sum(self.table)
        chance = ops.sum(ops.sum(table, axis=0) * ops.sum(table, axis=1))
        return (ops.sum(ops.diagonal(table)) - chance) / (1.0 - chance)


class LogRatio(keras.metrics.Metric):
    """Mean log ratio of positive numbers; takes no weights, and fails at the zeros of missing labels."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, y_true, y_pred):
        self.total.assign_add(ops.sum(ops.log(y_pred / y_true)))
        self.count.assign_add(ops.cast(ops.size(y_true), "float32"))

    def result(self):
        return {"mean": self.total / self.count, "count": self.count}


class LastRow(keras.metrics.Metric):
    """What is in the last position of every example, missing or not."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(ops.sum(ops.cast(y_true[:, -1], "float32") * ops.max(y_pred[:, -1], axis=-1)))

    def result(self):
        return 1.0 * self.total


@every_share
@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_a_metric_of_the_users_own(kind, share):
    task = with_metrics(getattr(mz.Task, kind)("t", CLASSES), part(Kappa, name="kappa"))
    labels, logits, there = draw(task, share, (4,) if kind == "tagging" else ())
    expected = sklearn_metrics.cohen_kappa_score(labels[there], logits[there].argmax(axis=1))
    assert measured(task, labels, logits)["kappa"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_metric_without_weights_gets_what_is_labelled(jit_compile):
    task = with_metrics(mz.Task.regression("t"), part(LogRatio, name="log"))
    labels = np.array([[1.0], [np.nan], [np.nan], [np.nan], [2.0], [4.0]], "float32")
    logits = np.array([[2.0], [9.0], [9.0], [9.0], [2.0], [8.0]], "float32")
    metrics = TaskMetrics(task)

    @tf.function(jit_compile=jit_compile)
    def update(labels, logits):
        metrics.update_state(task.items(labels, logits), labels)

    for rows in (slice(2), slice(2, 4), slice(4, 6)):  # in the second there is no label
        update(labels[rows], logits[rows])
    found = {name: float(value) for name, value in metrics.results().items()}
    assert found == pytest.approx({"t_log_mean": 2 * np.log(2) / 3, "t_log_count": 3.0})


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        (mz.Task.tagging("t", CLASSES), LastRow, r"Metric 'last_row' of task 't' must be computable where"),
        (
            mz.Task.classification("t", CLASSES),
            part(M.MeanIoU, CLASSES),  # of predictions that are class indices
            r"Metric 'mean_io_u' of task 't' must take .*\(None,\) and \(None, 3\).*MeanIoU, which answers",
        ),
    ],
)
def test_metrics_that_cannot_be_right_are_refused(task, metric, message):
    with pytest.raises(ValueError, match=message):
        TaskMetrics(with_metrics(task, metric))


def test_names_do_not_depend_on_what_was_made_before():
    explicit = part(M.AUC, name="auc_7")
    task = with_metrics(mz.Task.binary("t"), M.AUC, M.AUC, M.Precision, explicit)
    for _ in range(2):
        assert TaskMetrics(task).names == ["t_auc", "t_auc_1", "t_precision", "t_auc_7"]


@pytest.mark.parametrize(
    ("metric", "labels", "predictions", "expected"),
    [
        (M.AUC, [1.0, 1.0], [0.2, 0.8], False),
        (M.AUC, [1.0, 0.0], [0.2, 0.8], True),
        (part(M.AUC, curve="PR"), [0.0, 0.0], [0.2, 0.8], True),  # 0, as scikit-learn's average precision
        (part(M.SensitivityAtSpecificity, 0.5), [0.0, 0.0], [0.2, 0.8], False),
        (M.R2Score, [[3.3], [3.3], [3.3]], [[1.0], [2.0], [3.0]], False),
        (M.R2Score, [[3.3], [3.4], [3.3]], [[1.0], [2.0], [3.0]], True),
        (M.Recall, [0.0, 0.0], [0.2, 0.8], True),  # 0, as in scikit-learn
    ],
)
def test_metrics_are_defined_where_scikit_learn_has_a_number(metric, labels, predictions, expected):
    metric = metric()
    metric.update_state(np.array(labels), np.array(predictions))
    assert bool(is_defined(metric)) == expected


def test_a_label_with_one_class_alone_leaves_the_mean_over_labels_undefined():
    task = with_metrics(mz.Task.multilabel("t", 2), part(M.AUC, multi_label=True))
    logits = np.array([[1.0, 1.0], [-1.0, -1.0]], "float32")
    assert np.isnan(measured(task, np.array([[1.0, 1.0], [0.0, 1.0]]), logits)["auc"])
    assert measured(task, np.array([[1.0, 1.0], [0.0, 0.0]]), logits)["auc"] == 1.0
