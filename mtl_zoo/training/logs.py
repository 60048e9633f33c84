"""What a trainer measures, and what its logs say of it."""

import dataclasses

import keras
import tensorflow as tf

from mtl_zoo.balancers.base import Balancer
from mtl_zoo.training import accuracies, distribution, masks, metric_inputs
from mtl_zoo.training.batch import num_examples
from mtl_zoo.training.metrics import MeanPerTask, SkippedSteps
from mtl_zoo.training.presence import LabelCounts
from mtl_zoo.training.task_metrics import TaskMetrics


@dataclasses.dataclass(frozen=True)
class Logs:
    """The running numbers of a training or an evaluation.

    Args:
        tasks: Tuple of T `Task`.
        losses: `MeanPerTask` of the tasks' losses.
        weights: `MeanPerTask` of the weights of their gradients in the update.
        penalties: `keras.metrics.Mean` of the model's own losses.
        skipped: `SkippedSteps`.
        task_metrics: List of one `TaskMetrics` per task.
        labels: `LabelCounts`.
        balancer: `Balancer`, or `None`.
    """

    tasks: tuple
    losses: MeanPerTask
    weights: MeanPerTask
    penalties: keras.metrics.Mean
    skipped: SkippedSteps
    task_metrics: list
    labels: LabelCounts
    balancer: Balancer | None = None

    @property
    def metrics(self):
        """All Keras metrics."""
        nested = [metric for found in self.task_metrics for metric in found.metrics]
        return [self.losses, self.penalties, self.weights, self.skipped, *nested, self.labels]

    @property
    def names(self):
        """Names of what is measured in training and evaluation alike."""
        names = [name for found in self.task_metrics for name in found.names]
        return [*self._totals, *(f"{task.name}_loss" for task in self.tasks), *names]

    @property
    def _totals(self):
        """Names of the sums of all losses: weighted as well, if the balancer has constant weights."""
        constant = self.balancer is not None and self.balancer.constant_weights is not None
        return ["loss", "weighted_loss"] if constant else ["loss"]

    def add_step(self, problem, batch, step):
        """Count an update that was made.

        Args:
            problem: `Problem`.
            batch: `Batch`.
            step: `Step`.
        """
        for (x, labels, weight), mask, items in zip(batch.portions, batch.masks, step.items, strict=True):
            self._add_items(problem, x, items, mask.hide_all(problem.tasks, labels), weight)
            self.labels.update_state(labels)
        for penalty, number in step.penalties:
            self.penalties.update_state(penalty, number)
        self.losses.update_state(step.losses, step.extents)
        factors = tf.where(step.joined, getattr(problem.aggregator, "task_weights", 1.0), 1.0)
        self.weights.update_state(step.seeds * factors, step.counts > 0)

    def add_skipped(self, step):
        """Count an update that was undone, by the losses that were known all the same."""
        known = tf.math.is_finite(step.losses)
        self.losses.update_state(tf.where(known, step.losses, 0.0), tf.where(known, step.extents, 0.0))
        self.skipped.update_state(~known, step.suspects(), 1.0 / distribution.num_replicas())

    def add_batch(self, problem, x, labels, logits, sample_weight):
        """Measure a batch without an update."""
        items = problem.items(labels, logits, sample_weight)
        sums = tf.stack([task.sum_loss(*item) for task, item in zip(self.tasks, items, strict=True)])
        mask = masks.of_answers(logits)
        counts = problem.item_counts(labels, sample_weight, mask)
        counts = tf.stack(list(map(tf.reduce_sum, counts)))
        losses = tf.math.divide_no_nan(sums, problem.divisors(counts))
        self.losses.update_state(losses, problem.extents(labels, counts))
        self._add_items(problem, x, items, mask.hide_all(self.tasks, labels), sample_weight)
        self.labels.update_state(labels)
        penalties = problem.model.losses
        if penalties:
            self.penalties.update_state(tf.add_n(penalties), num_examples(labels))

    def measured(self):
        """Return what was measured: NaN for a task without any label, which `loss` leaves out."""
        losses, labelled = self.losses.result(), self.losses.count > 0
        counted = labelled | (self.skipped.bad_losses > 0)
        known = tf.where(counted, losses, 0.0)
        sums = [known, known * self.balancer.constant_weights] if len(self._totals) > 1 else [known]
        totals = [tf.reduce_sum(each) + self.penalties.result() for each in sums]
        anything = tf.reduce_any(counted)
        logs = {
            name: tf.where(anything, number, float("nan"))
            for name, number in zip(self._totals, totals, strict=True)
        }
        logs |= self._per_task(losses, "loss")
        applied = (self.skipped.steps == 0) | (self.weights.count > 0)
        there = tf.unstack(labelled & applied, len(self.tasks))
        for metrics, measured in zip(self.task_metrics, there, strict=True):
            logs |= metrics.results(measured)
        return logs

    def of_training(self):
        """Return what training adds: the weights of the tasks and the number of steps that were undone."""
        return {**self._per_task(self.weights.result(), "weight"), "skipped_steps": self.skipped.result()}

    def without_label(self):
        """Return the names of the tasks of which no label was seen."""
        counts = keras.ops.convert_to_numpy(1.0 * self.losses.count)
        return [task.name for task, count in zip(self.tasks, counts, strict=True) if not count]

    def _add_items(self, problem, x, items, labels, sample_weight):
        inputs = metric_inputs.found(problem.model, self.task_metrics, x)
        done = accuracies.update(self.task_metrics, items, labels) if sample_weight is None else []
        for task, metrics, *found in zip(self.tasks, self.task_metrics, items, labels, strict=True):
            weights = problem.weight_of(task, sample_weight)
            metrics.update_state(*found, weights, done=done, inputs=inputs)

    def _per_task(self, values, suffix):
        values = tf.unstack(values, len(self.tasks))
        return {f"{task.name}_{suffix}": value for task, value in zip(self.tasks, values, strict=True)}


def empty(tasks, balancer=None):
    """Return `Logs` in which nothing was measured.

    Args:
        tasks: Tuple of T `Task`.
        balancer: `Balancer`. Defaults to `None`.
    """
    return Logs(
        tasks,
        MeanPerTask(len(tasks), name="losses"),
        MeanPerTask(len(tasks), name="weights"),
        keras.metrics.Mean(name="regularization"),
        SkippedSteps([task.name for task in tasks], name="skipped_steps"),
        [TaskMetrics(task) for task in tasks],
        LabelCounts(tasks),
        balancer,
    )
