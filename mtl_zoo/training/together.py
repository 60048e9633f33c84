"""Losses of tasks of one kind, out of one batch of the examples of all of them."""

import tensorflow as tf

from mtl_zoo import kinds
from mtl_zoo.class_weights import is_balanced
from mtl_zoo.items import mask_of
from mtl_zoo.training import alike


def sums(problem, labels, logits, sample_weight=None):
    """Return the sums of the tasks' losses, and their items, as `Task.sum_loss` and `Task.items` return them.

    Their gradients by the logits are to be asked for at once: a backward pass of one is that of its group.

    Args:
        problem: `Problem`.
        labels: Dict of labels.
        logits: Dict of logits, as the model returns them.
        sample_weight: As in `fit`.

    Returns:
        Tuple of a list of T scalars and a list of T tuples.
    """
    found = {}
    for group in _groups(problem.tasks, labels, logits, sample_weight):
        tasks = [problem.tasks[index] for index in group]
        found |= zip(group, _of_group(problem, tasks, labels, logits, sample_weight), strict=True)
    both = [found[index] for index in range(len(problem.tasks))]
    return [total for total, _ in both], [items for _, items in both]


def _groups(tasks, labels, logits, sample_weight):
    """Return lists of the places of tasks whose losses are computed together."""
    for group in alike.groups([task.labels_of(labels) for task in tasks], tasks):
        found = {}
        for index in group:
            task, output = tasks[index], logits[tasks[index].name]
            weighted = sample_weight is not None or is_balanced(task)  # by a variable of its own
            alone = weighted or mask_of(output) is not None or task.loss not in kinds.OF_SINGLE_ITEMS
            key = index if alone else (task.loss, task.class_weight, output.dtype, tuple(output.shape))
            found.setdefault(key, []).append(index)
        yield from found.values()


def _of_group(problem, tasks, labels, logits, sample_weight):
    """Return the sum and the items of each of some tasks."""
    task, number = tasks[0], len(tasks)
    if number == 1:
        weights = problem.weight_of(task, sample_weight)
        items = task.items(task.labels_of(labels), logits[task.name], weights)
        return [(task.sum_loss(*items), items)]
    values = tf.concat([each.labels_of(labels) for each in tasks], 0)
    items = task.items(values, tf.concat([logits[each.name] for each in tasks], 0))
    totals = tf.reduce_sum(tf.reshape(task.item_losses(*items), [number, -1]), axis=1)
    items = [tf.unstack(tf.reshape(x, [number, -1, *x.shape[1:]])) for x in items]
    return list(zip(tf.unstack(totals), zip(*items, strict=True), strict=True))
