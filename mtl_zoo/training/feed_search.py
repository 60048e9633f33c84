"""How to find the form in which a metric takes a batch: by trying on random numbers."""

import dataclasses
import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mtl_zoo.training import feeds
from mtl_zoo.training.feeds import Batch, Feed, InputFeed

REFUSALS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
    tf.errors.OpError,
)  # what a metric may say of a form that it does not take


def find(task, make, name):
    """Return the `Feed` with which a metric is right on random numbers, with and without missing labels.

    Args:
        task: `Task`.
        make: Function that returns a fresh metric.
        name: Name of the metric, for errors.

    Raises:
        ValueError: If there is none.
    """
    probe, answer, suits = Probe(task), "", False
    for form in _forms(task, getattr(make(), "sparse_y_true", None)):
        if suits and not form.shaped:
            break
        try:
            expected = [_run(form, task, make(), batch, plain=True) for batch in (probe.whole, probe.part)]
        except REFUSALS as refusal:
            answer = " ".join(str(refusal).split())[:200]
            continue
        suits = True
        for feed in _candidates(task, make(), form):
            if _is_right(feed, task, make, probe, expected):
                return feed
    raise ValueError(_message(task, name, type(make()).__name__, suits, answer))


def build(feed, task, metric):
    """Create the state of a metric that waits for the shapes of a first batch; return an empty result."""
    if feeds.known(task, metric) in (Feed(), InputFeed()):  # these wait for nothing
        return metric.result()
    return _run(feed, task, metric, Probe(task).whole)


class Probe:
    """Random items of a few examples. No two axes are of one size, so that nothing fits by accident.

    Args:
        task: `Task`.

    Attributes:
        whole: `Batch` in which nothing is missing.
        part: `Batch` of the first examples alone.
    """

    def __init__(self, task):
        last = task.output_shape[-1]
        number = next(n for n in (12, 15, 18) if last not in (n, 2 * n // 3))
        sides = [size for size in (5, 7, 9, 10, 11) if size != last]
        self.random = np.random.default_rng(0)
        self.shape = (number, *sides[: len(task.output_shape) - 1])
        self.first = 2 * number // 3
        self.labels, logits = self._draw(task, last)
        self.predictions = ops.convert_to_numpy(task.activation(ops.convert_to_tensor(logits)))
        self.items = len(self.labels) // number
        self.whole = self._batch(np.ones(len(self.labels)))
        self.part = self._batch(np.ones(self.first * self.items))

    def without_examples(self):
        """Return the whole batch, in which all but the first examples are missing."""
        return self._batch(np.arange(len(self.labels)) < self.first * self.items)

    def without_items(self, fill):
        """Return the whole batch, in which some items are missing and have the label `fill` instead."""
        there = np.random.default_rng(1).random(len(self.labels)) < 0.7
        return self._batch(there, fill)

    def _draw(self, task, last):
        """Return labels and logits of all items; the numbers of a regression are positive."""
        size = np.prod(self.shape) * (1 if task.labels_are_indices else last)
        if task.max_label is None:
            labels = self.random.uniform(0.5, 2.0, size)
            logits = labels * self.random.uniform(0.8, 1.2, size)
        else:
            labels = self.random.permutation(size) % (task.max_label + 1)
            logits = self.random.normal(size=(size, last if task.labels_are_indices else 1))
        if not task.labels_are_indices:
            labels = labels.reshape(-1, task.item_size).astype("float32")
        return labels, logits.reshape(-1, task.item_size).astype("float32")

    def _batch(self, weights, fill=0):
        number, shape = len(weights), (len(weights) // self.items, *self.shape[1:])
        labels = self.labels[:number].copy()
        labels[np.asarray(weights) == 0] = fill
        return Batch(
            *map(ops.convert_to_tensor, (labels, self.predictions[:number], np.float32(weights))), shape
        )


def _forms(task, sparse):
    """Return the forms in which plain Keras gives a batch to a metric: as it is, then item after item."""
    encodings = [True, False] if sparse is None else [not sparse]
    encodings = encodings if task.labels_are_indices else [False]
    return [Feed(shaped, one_hot) for shaped in (True, False) for one_hot in encodings]


def _message(task, name, kind, suits, answer):
    shapes = " and ".join(str((None, *shape)) for shape in (task.label_shape, task.output_shape))
    if suits:
        return (
            f"Metric '{name}' of task '{task.name}' must be computable where labels are missing: it must "
            f"heed `sample_weight`, or be the same on items as on whole examples. Received: {kind}, which is "
            f"neither with labels and predictions of shapes {shapes}"
        )
    return (
        f"Metric '{name}' of task '{task.name}' must take labels (class indices also as one-hot vectors) and "
        f"predictions of shapes {shapes}. Received: {kind}, which answers: {answer}"
    )


def _candidates(task, metric, form):
    """Return the forms to try, the most faithful first."""
    is_vector = len(task.output_shape) == 1
    found = [(True, "values"), (False, "values")]
    if is_vector and task.item_size < task.output_shape[-1]:  # each value may be missing alone
        found += [(True, "class")] if getattr(metric, "class_id", None) is not None else []
        found += [(True, "zeros")] if isinstance(metric, keras.metrics.FBetaScore) else []
        found += [(True, "examples")]
    found += [(False, "none"), (True, "none")] if is_vector else [(False, "none")]
    feeds = [dataclasses.replace(form, shaped=shaped, weights=weights) for shaped, weights in found]
    return [feed for feed in feeds if form.shaped or not feed.shaped]


def _is_right(feed, task, make, probe, expected):
    """Return whether a form gives what is expected, and nothing depends on what is missing."""
    batches = (probe.whole, probe.without_examples(), probe.without_items(0), probe.without_items(1))
    try:
        whole, part, *others = [_run(feed, task, make(), batch) for batch in batches]
    except REFUSALS:
        return False
    return all(map(_same, [whole, part, others[0]], [*expected, others[1]]))


def _run(feed, task, metric, batch, plain=False):
    """Return what a metric makes of a batch, and leave its state alone; `plain` as in Keras, unweighted."""
    with keras.StatelessScope(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if plain:
            metric.update_state(*feed.arrays(task, batch)[:2])
        else:
            feed.update(task, metric, batch)
        return keras.tree.map_structure(ops.convert_to_tensor, metric.result())


def _same(one, other):
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True)
    return all(np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True) for a, b in pairs)
