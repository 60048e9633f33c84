"""The forms in which metrics take a batch."""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo.kind_metrics import OfItems
from mtl_zoo.metrics.calibration import Calibration

INDICES = (
    keras.metrics.SparseCategoricalAccuracy,
    keras.metrics.SparseCategoricalCrossentropy,
    keras.metrics.SparseTopKCategoricalAccuracy,
)
ONE_HOT = (
    keras.metrics.AUC,
    keras.metrics.CategoricalAccuracy,
    keras.metrics.CategoricalCrossentropy,
    keras.metrics.F1Score,
    keras.metrics.FBetaScore,
    keras.metrics.Precision,
    keras.metrics.Recall,
    keras.metrics.TopKCategoricalAccuracy,
)
VALUES = (
    keras.metrics.BinaryAccuracy,
    keras.metrics.BinaryCrossentropy,
    keras.metrics.MeanAbsoluteError,
    keras.metrics.MeanSquaredError,
    keras.metrics.RootMeanSquaredError,
    Calibration,
)


@dataclasses.dataclass(frozen=True)
class Batch:
    """The items of a batch.

    Args:
        labels: Tensor `[items]` or `[items, item_size]`, some number for those that are missing.
        predictions: Tensor `[items, item_size]`.
        weights: Tensor `[items]`, 0 for what is missing.
        shape: Shape of the batch but for the last axis of an output: `(batch, *positions)`.
        sample_weight: Weights as the user gave them, or `None`.
        inputs: Dict of the inputs that metrics want, `[batch]` or `[batch, 1]`, or `None`.
    """

    labels: object
    predictions: object
    weights: object
    shape: tuple
    sample_weight: object = None
    inputs: dict | None = None


@dataclasses.dataclass(frozen=True)
class Feed:
    """A form of a batch.

    Args:
        shaped: Whether labels and predictions have the shapes of the task, or those of items: `[items]` or
            `[items, item_size]`.
        one_hot: Whether class indices are turned into one-hot vectors.
        weights: What the metric gets. `"values"`: one weight per value (or item, if it has one label).
            `"examples"`: one per example, 0 where any value is missing. `"class"`: per example that of the
            class (`class_id`) that the metric is about. `"zeros"`: one per example, and labels and
            predictions 0 where a value is missing. `"none"`: no weights, and nothing that is missing.
    """

    shaped: bool = False
    one_hot: bool = False
    weights: str = "values"

    def arrays(self, task, batch):
        """Return labels, predictions and weights in this form."""
        labels, predictions, weights = batch.labels, batch.predictions, batch.weights
        if self.shaped:
            last = task.output_shape[-1]
            whole = (*batch.shape, last)
            predictions = ops.reshape(predictions, whole)
            labels = ops.reshape(labels, batch.shape if task.labels_are_indices else whole)
            weights = ops.reshape(weights, batch.shape if task.item_size == last else whole)
        if self.one_hot:
            labels = ops.one_hot(labels, task.output_shape[-1])
        return labels, predictions, weights

    def update(self, task, metric, batch):
        """Update a metric with a batch."""
        labels, predictions, weights = self.arrays(task, batch)
        if self.weights == "none":
            _update_with(metric, labels, predictions, _of_examples(weights) > 0)
            return
        if self.weights == "zeros":
            _check_one_weight(metric, batch.sample_weight)
            labels, predictions = _zeros_where_missing(metric, labels, predictions, weights > 0)
            weights = ops.max(weights, axis=-1)
        elif self.weights == "class":
            weights = weights[:, metric.class_id]
        elif self.weights == "examples":
            weights = _of_examples(weights)
        if "int" in metric.dtype and batch.sample_weight is None:
            weights = ops.cast(weights, metric.dtype)  # Keras warns of others, which it would cut
        metric.update_state(labels, predictions, sample_weight=weights)


@dataclasses.dataclass(frozen=True)
class InputFeed:
    """The form of a metric with an `input_name`: labels beside that input, `[examples, 2]`."""

    def update(self, task, metric, batch):
        """Update a metric with a batch."""
        name = metric.input_name
        beside = (batch.inputs or {}).get(name)
        if beside is None:
            raise ValueError(f"Metric '{metric.name}' must get its input '{name}'. Received: none")
        columns = [ops.reshape(ops.cast(x, metric.dtype), (-1, 1)) for x in (batch.labels, beside)]
        metric.update_state(ops.concatenate(columns, axis=-1), batch.predictions, sample_weight=batch.weights)


def known(task, metric):
    """Return the form of a metric of which it is known, or `None`.

    Raises:
        ValueError: If the metric does not suit the task.
    """
    if hasattr(metric, "check_task"):
        metric.check_task(task)
    if hasattr(metric, "input_name"):
        return _beside_input(task, metric)
    kind, is_vector = type(metric), len(task.output_shape) == 1
    if isinstance(metric, OfItems):
        return Feed()
    if task.labels_are_indices:
        sparse = kind is keras.metrics.MeanIoU and metric.sparse_y_true and not metric.sparse_y_pred
        if kind in ONE_HOT or kind in INDICES or sparse:
            return Feed(one_hot=kind in ONE_HOT)
    elif kind in VALUES:
        return Feed()
    elif kind is keras.metrics.AUC:
        return Feed(shaped=metric.multi_label or metric.label_weights is not None)
    elif kind in (keras.metrics.F1Score, keras.metrics.FBetaScore) and is_vector:
        return Feed(shaped=True, weights="values" if task.item_size == task.output_shape[-1] else "zeros")
    elif kind is keras.metrics.R2Score and is_vector and not metric.num_regressors:
        return Feed(shaped=True)
    return None


def _beside_input(task, metric):
    """Return the form of a metric with an `input_name`."""
    if task.label_shape not in ((), (1,)):
        raise ValueError(
            f"Metric '{metric.name}', which wants input '{metric.input_name}', must be of a task with one "
            f"label per example. Received: task '{task.name}' with labels of shape {task.label_shape}"
        )
    return InputFeed()


def _of_examples(weights):
    """Return one weight per example: the smallest of its values."""
    return ops.min(weights, axis=-1) if len(weights.shape) > 1 else weights


def _zeros_where_missing(metric, labels, predictions, there):
    """Return labels and predictions with zeros that an F score does not count."""
    chosen = there
    if metric.threshold is None:  # it takes the largest of what it gets
        largest = ops.max(predictions, axis=-1, keepdims=True)
        chosen = ops.logical_and(there, predictions >= largest)
    return ops.where(there, labels, 0.0), ops.where(chosen, predictions, 0.0)


def _check_one_weight(metric, sample_weight):
    shape = () if sample_weight is None else sample_weight.shape
    if len(shape) > 1 and shape[-1] != 1:
        raise ValueError(
            f"`sample_weight` must have one number per example, since metric '{metric.name}' "
            f"({type(metric).__name__}) takes no weights of single values. Received: shape={shape}"
        )


def _update_with(metric, labels, predictions, there):
    """Update a metric that takes no weights with what is there, if anything is."""

    def update():
        metric.update_state(tf.boolean_mask(labels, there), tf.boolean_mask(predictions, there))
        return 0

    tf.cond(tf.reduce_any(there), update, lambda: 0)
