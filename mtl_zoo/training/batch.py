"""The batch of one update, which `fit` joins and a step works off in portions."""

import dataclasses

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, masks
from mtl_zoo.training.parts import deal, first_numbers


@dataclasses.dataclass(frozen=True)
class Batch:
    """What is known of a batch before the model has seen it.

    Args:
        portions: List of `(inputs, labels, sample weights)` of this replica.
        masks: List of the `Masks` of the portions.
        first_numbers: List of what `parts.deal` needs to know, for every portion: a tensor `[T]`, or `None`
            where the aggregator wants one part.
        size: Number of examples in the whole batch: in all portions, on all replicas.
        part_counts: Number (or weight) of each task's labelled items in the parts of the whole batch that the
            aggregator wants, `[parts, T]`.
        counts: The same in the whole batch, `[T]`.
        part_divisors: What the sums of the losses of these parts are divided by, `[parts, T]`.
        divisors: The same of the whole batch, `[T]`.
        extents: How much the batch counts in the means of the logs, `[T]`.
    """

    portions: list
    masks: list
    first_numbers: list
    size: tf.Tensor
    part_counts: tf.Tensor
    counts: tf.Tensor
    part_divisors: tf.Tensor
    divisors: tf.Tensor
    extents: tf.Tensor

    def derivatives(self, seeds):
        """Return the derivatives by the sums of the losses, one list per part, out of those by the losses."""
        derivatives = tf.math.divide_no_nan(seeds, self.part_divisors)
        return [tf.unstack(part) for part in tf.unstack(derivatives, self.part_divisors.shape[0])]

    def apart(self):
        """Return one batch per portion, which counts as it does in the whole one."""
        each = zip(self.portions, self.masks, self.first_numbers, strict=True)
        return [
            dataclasses.replace(self, portions=[portion], masks=[mask], first_numbers=[first])
            for portion, mask, first in each
        ]

    def shares(self):
        """Return what share of a task's labelled items each part has, `[parts, T]`."""
        return tf.math.divide_no_nan(self.part_counts, self.counts)


def count(problem, portions):
    """Return the `Batch` of some portions, counted over all replicas.

    Args:
        problem: `Problem`.
        portions: As `portions` returns them.
    """
    size = tf.add_n([num_examples(labels) for _, labels, _ in portions])
    hiding = [masks.of_batch(problem, x) for x, *_ in portions]
    items = [problem.item_counts(*rest, mask) for (_, *rest), mask in zip(portions, hiding, strict=True)]
    first = [None] * len(items)
    if problem.num_parts > 1:
        first = tf.unstack(first_numbers(items), len(items))
    counts = [_counts(dealt(*pair, problem.num_parts)) for pair in zip(items, first, strict=True)]
    extents = [
        problem.extents(labels, tf.reduce_sum(found, axis=0))
        for (_, labels, _), found in zip(portions, counts, strict=True)
    ]
    size, part_counts, extents = distribution.all_reduce([size, tf.add_n(counts), tf.add_n(extents)])
    counts = tf.reduce_sum(part_counts, axis=0)
    divisors = map(problem.divisors, (part_counts, counts))
    return Batch(portions, hiding, first, size, part_counts, counts, *divisors, extents)


def dealt(weights, numbers, num_parts):
    """Return the weights of the tasks' items, one list per part that the aggregator wants.

    Args:
        weights: List of T tensors `[items]`.
        numbers: Numbers of the tasks' first labelled items, as in `Batch`.
        num_parts: Number of parts.
    """
    if num_parts == 1:
        return [weights]
    numbers = tf.unstack(numbers, len(weights))
    found = [deal(w, first, num_parts) for w, first in zip(weights, numbers, strict=True)]
    return list(zip(*found, strict=True))


def portions(data, number):
    """Split a batch in portions of nearly the same size, in order.

    Args:
        data: Batch as `fit` gets it.
        number: Number of portions.

    Returns:
        List of `(inputs, labels, sample weights)`.
    """
    batch = keras.utils.unpack_x_y_sample_weight(data)
    if number == 1:
        return [batch]
    return [distribution.part(batch, index, number) for index in range(number)]


def joined(dataset, number):
    """Return a dataset of batches that each hold those of one update.

    Args:
        dataset: `tf.data.Dataset` of batches with labels.
        number: How many batches make one update.
    """
    if number == 1:
        return dataset
    sizes = [len(batch) for batch in dataset.take(1).map(lambda _, labels, *rest: tf.nest.flatten(labels)[0])]
    if not sizes:
        return dataset
    length = int(dataset.cardinality())
    dataset = dataset.rebatch(sizes[0] * number)
    known = tf.data.experimental.assert_cardinality(-(-length // number))
    return dataset.apply(known) if length > 0 else dataset


def num_examples(labels):
    """Return the number of examples of a dict of labels, as a float32 scalar."""
    return tf.cast(tf.shape(tf.nest.flatten(labels)[0])[0], tf.float32)


def _counts(parts):
    """Return the number (or the weight) of labelled items, `[parts, T]`."""
    return tf.stack([tf.stack(list(map(tf.reduce_sum, part))) for part in parts])
