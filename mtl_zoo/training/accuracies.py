"""Accuracies of tasks of one kind, out of one comparison."""

import keras
import tensorflow as tf

from mtl_zoo.training import alike

KINDS = {  # what a metric must be of a task, by the task's activation, for its numbers to come out of one
    keras.activations.softmax: keras.metrics.SparseCategoricalAccuracy,
    keras.activations.sigmoid: keras.metrics.BinaryAccuracy,
}


def update(found, items, labels):
    """Update the accuracies of tasks of one kind, where no sample weights are given.

    They get exactly what their own `update_state` would give them: numbers of right and of all items.

    Args:
        found: List of T `TaskMetrics`.
        items: What `Task.items` returns, for every task.
        labels: List of the labels that it got.

    Returns:
        List of the metrics that were updated.
    """
    done = []
    for group in alike.groups(labels, [each.task for each in found]):
        metrics = [[m for m in found[index].metrics if _is_known(found[index].task, m)] for index in group]
        if len(group) > 1 and any(metrics):
            right, there = _counted(found[group[0]].task, [items[index] for index in group])
            for row, number, total in zip(metrics, right, there, strict=True):
                for metric in row:
                    metric.total.assign_add(number)
                    metric.count.assign_add(total)
            done += [metric for row in metrics for metric in row]
    return done


def _is_known(task, metric):
    if type(metric) is not KINDS.get(task.activation) or metric.dtype != "float32":
        return False
    if task.metrics_take_logits or task.item_size != (
        task.output_shape[-1] if task.labels_are_indices else 1
    ):
        return False
    return metric.get_config().get("threshold", 0.5) == 0.5


def _counted(task, items):
    """Return the numbers of items that are right and of those that are there, two lists with one per task."""
    labels, logits, weights = map(tf.stack, zip(*items, strict=True))
    predicted = task.activation(logits)  # whose rounding may make two equal
    if task.labels_are_indices:
        predicted = tf.argmax(predicted, axis=-1)
    else:
        predicted, labels = predicted[..., 0] > 0.5, labels[..., 0]
    right = tf.where(tf.cast(predicted, labels.dtype) == labels, weights, 0.0)
    return [tf.unstack(tf.reduce_sum(x, axis=1), len(items)) for x in (right, weights)]
