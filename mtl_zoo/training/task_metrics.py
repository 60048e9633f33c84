"""How the metrics of a task are fed: each gets what it would get in plain Keras, without what is missing."""

import dataclasses
import math

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo.training import feed_search, feeds
from mtl_zoo.training.feeds import Batch

CURVES = (
    keras.metrics.AUC,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
)


class TaskMetrics:
    """The metrics of one task, each fed in the form that it takes.

    Keras' metrics differ in that: class indices or one-hot labels, weights per value or per example, any
    shape or `[batch, n]` alone. The form is known of the common ones. With any other, the first form is
    chosen in which it computes of random numbers what it computes in plain Keras, and of a batch with missing
    labels what it computes of the labelled part alone: in the shape of the task, or as one item after the
    other; with weights per value; per example, where those with a missing value are left out; or without
    weights, where what is missing is left out of what it gets. A metric whose attribute `sparse_y_true` is
    true gets class indices, one where it is false one-hot labels.

    A metric with an attribute `input_name` gets that input of the model beside the labels, `[examples, 2]`,
    both in the metric's `dtype`: the groups of `GAUC`, for instance. The input must be one number per
    example, and so must the label. A method `check_task(task)` of a metric is called with its task, to raise
    an error where it does not suit.

    Args:
        task: `Task`.

    Attributes:
        metrics: List of `keras.metrics.Metric`, named as in the logs: `left_accuracy`.
        names: Names of the numbers that `results` returns: those of the metrics, and for a metric with
            several numbers one for each, as `left_f1_score_0`.

    Raises:
        ValueError: If a metric does not suit the task, or cannot be computed where labels are missing.

    Example:

    >>> metrics = TaskMetrics(mz.Task.multilabel("tags", 2))
    >>> labels = np.array([[1, 0], [-1, 0]])
    >>> metrics.update_state(metrics.task.items(labels, [[9.0, -9.0], [-9.0, 9.0]]), labels)
    >>> {name: round(float(value), 2) for name, value in metrics.results().items()}
    {'tags_accuracy': 0.67, 'tags_auc': 0.75}

    Note:
        `F1Score` and `FBetaScore` take no weights per value in Keras. On tasks of several values they get
        zeros where a label is missing, which count as nothing; with a threshold of `None` the largest
        prediction is that among all values. Weights per value make an error. A metric that takes no
        `sample_weight` gets what is labelled without weights, as the `metrics` of Keras' `compile` do.
    """

    def __init__(self, task):
        self.task = task
        self.metrics = task.make_metrics()
        self.weighted = [metric.name not in task.unweighted for metric in self.metrics]
        self.feeds, self.names = [], []
        for make, metric in zip(task.metrics, self.metrics, strict=True):
            feed = feeds.known(task, metric) or feed_search.find(task, make, metric.name)
            metric.name = f"{task.name}_{metric.name}"
            self.feeds.append(feed)
            self.names += _numbers(metric.name, feed_search.build(feed, task, metric))

    def update_state(self, items, labels, sample_weight=None, predictions=None, done=(), inputs=None):
        """Add a batch.

        Args:
            items: What `Task.items` returns.
            labels: The labels that it got; their shape tells where an example ends.
            sample_weight: The weights that it got.
            predictions: Predictions of the items. Defaults to what `Task.activation` makes of their logits.
            done: Metrics that have the batch already. Defaults to none.
            inputs: Dict of inputs that metrics want, as `metric_inputs.found` returns it. Defaults to none.
        """
        done = set(map(id, done))
        fed = zip(self.metrics, self.feeds, self.weighted, strict=True)
        waiting = [entry for entry in fed if id(entry[0]) not in done]
        if waiting:
            values, logits, weights = items
            if predictions is None:
                predictions = logits if self.task.metrics_take_logits else self.task.activation(logits)
            shape = ops.shape(labels)[: len(self.task.output_shape)]
            batch = Batch(values, predictions, weights, shape, sample_weight, inputs)
            plain = batch if sample_weight is None else self._without_weights(batch, labels)
            for metric, feed, weighted in waiting:
                feed.update(self.task, metric, batch if weighted else plain)

    def _without_weights(self, batch, labels):
        """Return a batch in which what is labelled counts 1."""
        there = self.task.item_weights(labels)
        return dataclasses.replace(batch, weights=there, sample_weight=None)

    def results(self, measured=True):
        """Return the numbers by name.

        Args:
            measured: Boolean scalar tensor, whether there was any label. Without one, all is NaN; else what
                is not defined on the labels that there were, see `is_defined`.
        """
        found = {}
        for metric in self.metrics:
            there = ops.logical_and(measured, is_defined(metric))
            numbers = _numbers(metric.name, metric.result())
            found |= {name: tf.where(there, number, math.nan) for name, number in numbers.items()}
        return found


def is_defined(metric):
    """Return whether a metric is defined on the labels that it saw.

    The area under a ROC curve and its relatives need both classes (of every label, with `multi_label`), and
    R² labels that vary. Keras gives 0 there; scikit-learn gives NaN for the former. Precision, recall and F
    scores without positives are 0 in both, and so they are here.

    Args:
        metric: `keras.metrics.Metric`.

    Returns:
        Boolean, or boolean scalar tensor.
    """
    if isinstance(metric, CURVES) and metric.get_config().get("curve") != "PR":
        positives = metric.true_positives[0] + metric.false_negatives[0]
        negatives = metric.false_positives[0] + metric.true_negatives[0]
        return ops.all(ops.minimum(positives, negatives) > 0)
    if isinstance(metric, keras.metrics.R2Score):
        variation = metric.squared_sum - ops.divide_no_nan(ops.square(metric.sum), metric.count)
        return ops.all(variation > 1e-6 * metric.squared_sum)  # less is rounding
    return True


def _numbers(name, result):
    """Return the numbers of a result by name: itself, or one for every entry of a dict or an array."""
    if isinstance(result, dict):
        parts = [_numbers(f"{name}_{key}", value) for key, value in result.items()]
        return {key: number for part in parts for key, number in part.items()}
    result = ops.cast(result, "float32")
    if len(result.shape) == 0:
        return {name: result}
    flat = ops.reshape(result, (-1,))
    return {f"{name}_{index}": flat[index] for index in range(math.prod(result.shape))}
