"""One update of a model on several tasks."""

import contextlib
import functools

import keras
import tensorflow as tf

from mtl_zoo.training import distribution, gradients
from mtl_zoo.training.parts import deal, first_numbers

LARGEST_SQUARE = 1e36  # a hundredth of what float32 holds, since optimizers add up squares


class Step:
    """Computes the gradients of one batch, which may be spread over replicas and worked off in portions.

    A task's loss is the sum of the losses of its labelled items over their number, on all replicas and in all
    portions. What is differentiated are the sums of one replica; they are divided by numbers that all
    replicas know, and added up before the aggregator sees them. The model's own losses count by the number
    of examples. So several replicas or portions compute what one device computes on the joined batch.

    Args:
        trainer: `Trainer`.
        data: Batch of this replica, as `fit` gets it.

    Attributes:
        size: Number of examples in the whole batch.
        counts: Number (or weight) of each task's labelled items in the whole batch, `[T]`.
        losses: Losses of the tasks, `[T]`, known after `gradients`.
        seeds: Derivatives of the balanced loss by the losses, `[T]`, likewise.
        items: What `Task.items` returns for every task, one list per portion, likewise.
        regularization: List of the model's own losses, added up, and the number of examples, per portion,
            likewise; empty if there are none.
        concerned: Which tasks' gradients the aggregator joins with others, `[T]`, likewise; the rest stay as
            they are.
        bad_rows: Function that returns which tasks have a gradient that is not finite or too large, `[T]`,
            likewise. After one backward pass for all, the losses with their weights stand for the gradients.
    """

    def __init__(self, trainer, data):
        self.trainer = trainer
        self.variables = trainer.trained_variables()
        self.portions = portions(data, trainer.accumulate)
        self.num_parts = 1 if trainer.aggregator is None else trainer.aggregator.sub_batches
        size = tf.add_n([num_examples(labels) for _, labels, _ in self.portions])
        weights = [self._item_weights(*rest) for _, *rest in self.portions]
        self.first_numbers = [None] * len(weights)
        if self.num_parts > 1:
            self.first_numbers = tf.unstack(first_numbers(weights), len(weights))
        counts = tf.add_n(list(map(self._counts, weights, self.first_numbers)))
        self.size, self.part_counts = distribution.all_reduce([size, counts])
        self.counts = tf.reduce_sum(self.part_counts, axis=0)
        self.items, self.regularization = [], []
        self.concerned = [False] * len(trainer.tasks)
        self.scale = trainer.optimizer.scale_loss(1.0)

    def gradients(self):
        """Return one gradient per variable of the model, the same on all replicas."""
        found = self._in_representation() if self.trainer.parts_of_model else self._in_shared()
        return list(map(gradients.without_duplicates, found))

    def measure(self):
        """Return the losses of the batch as the model is now, `[T]`; leaves everything as it is."""
        with restored(self.trainer.model.non_trainable_variables):
            sums = [
                self._sums(self.trainer.model(x, training=True), *rest, first)[0]
                for (x, *rest), first in zip(self.portions, self.first_numbers, strict=True)
            ]
        return self._losses(functools.reduce(_add_sums, sums))

    def _in_shared(self):
        """Return the gradients by way of those of the variables."""
        trainer, whole = self.trainer, len(self.portions) == 1
        one_pass = trainer.aggregator is None and (whole or trainer.balancer is None)
        rows, sums = [], None
        for portion, first in zip(self.portions, self.first_numbers, strict=True):
            with tf.control_dependencies([g for row in rows for g in row if g is not None]):
                tape, latest, penalty = self._record(portion, first)
            sums = latest if sums is None else _add_sums(sums, latest)
            if whole:
                self._weigh(sums)
            seeds = self.seeds if whole else tf.ones_like(self.counts)
            pull, derivatives = gradients.puller(tape, self.scale), self._derivatives(seeds)
            if one_pass:
                targets, ones = [*latest[0], *penalty], map(tf.ones_like, penalty)
                found = [pull(targets, self.variables, [*derivatives[0], *ones])]
            else:
                found = gradients.jacobian(pull, latest, self.variables, derivatives)
                found += [pull(penalty, self.variables)] if penalty else []
            rows = list(map(gradients.add, rows, found)) if rows else found
        rows = distribution.all_reduce(rows)
        if not whole:
            self._weigh(sums)
            if not one_pass:
                rows[: len(trainer.tasks)] = map(gradients.scaled, rows, tf.unstack(self.seeds))
        return self._joined(rows, one_pass)

    def _joined(self, rows, one_pass):
        """Return the gradients out of those of all tasks and of the regularization."""
        number = len(self.trainer.tasks)
        if one_pass:
            self.bad_rows = lambda: ~(tf.square(self.seeds * self.losses) < LARGEST_SQUARE)
            return rows[0]
        self.bad_rows = lambda: _bad_rows(rows[:number])
        if self.trainer.aggregator is None:
            return gradients.total(rows)
        self.concerned = gradients.concerned(rows[:number])
        found = gradients.aggregate(
            rows[:number], self.trainer.aggregator, self.losses, self.counts > 0, self._shares()
        )
        return gradients.add(found, rows[number]) if len(rows) > number else found

    def _in_representation(self):
        """Return the gradients by way of those of the tensors where the shared part ends.

        A replica has its examples' elements of these tensors, and all of the variables behind them. Of those,
        one that several tasks reach is a block of the Jacobian like the tensors.
        """
        befores, afters, sums, penalties = [], [], None, []
        with tf.GradientTape(persistent=True) as tape:
            for (x, *rest), first in zip(self.portions, self.first_numbers, strict=True):
                logits, before, after = self._cut(x, tape)
                latest, items = self._sums(logits, *rest, first)
                sums = latest if sums is None else _add_sums(sums, latest)
                penalties += self._penalty(rest[0])
                befores, afters = [*befores, *before], [*afters, *after]
                self.items.append(items)
        self._weigh(sums)
        pull = gradients.puller(tape, self.scale)
        rows = gradients.jacobian(pull, sums, [*afters, *self.variables], self._derivatives(self.seeds))
        self.bad_rows = lambda: _bad_rows(rows)
        behind = distribution.all_reduce([row[len(afters) :] for row in rows])
        rows = [row[: len(afters)] + whole for row, whole in zip(rows, behind, strict=True)]
        self.concerned = gradients.concerned(rows)
        found = gradients.aggregate(
            rows, self.trainer.aggregator, self.losses, self.counts > 0, self._shares(), len(afters)
        )
        directions, found = found[: len(afters)], found[len(afters) :]
        local = [None] * len(self.variables)
        if penalties:
            extra = pull(penalties, [*afters, *self.variables])
            directions, local = gradients.add(directions, extra[: len(afters)]), extra[len(afters) :]
        local = gradients.add(local, pull(befores, self.variables, directions))
        return gradients.add(found, distribution.all_reduce(local))

    def _record(self, portion, first):
        """Run the model; return the tape, the sums of the losses and the regularization."""
        x, *rest = portion
        with tf.GradientTape(persistent=True) as tape:
            sums, items = self._sums(self.trainer.model(x, training=True), *rest, first)
            penalty = self._penalty(rest[0])
        self.items.append(items)
        return tape, sums, penalty

    def _cut(self, x, tape):
        """Return the logits, and the tensors before and after the cut."""
        trunk, heads = self.trainer.parts_of_model
        before = keras.tree.flatten(trunk(x, training=True))
        with tape.stop_recording():
            after = [tf.identity(tensor) for tensor in before]
        tape.watch(after)
        inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, x)  # sparse ones stay sparse
        return heads([after, inputs], training=True), before, after

    def _penalty(self, labels):
        """Return what the model's own losses on a portion add to those of the whole batch, in a list."""
        found = self.trainer.model.losses
        if not found:
            return []
        penalty, number = tf.add_n(found), num_examples(labels)
        self.regularization.append((penalty, number))
        return [penalty * tf.cast(tf.math.divide_no_nan(number, self.size), penalty.dtype)]

    def _sums(self, logits, labels, sample_weight, first_numbers):
        """Return the sums of the tasks' losses, one list per part, and the items of the whole portion."""
        items = self.trainer.items(labels, logits, sample_weight)
        dealt = self._deal([weights for _, _, weights in items], first_numbers)
        sums = [
            [
                task.sum_loss(values, outputs, weights)
                for task, (values, outputs, _), weights in zip(self.trainer.tasks, items, part, strict=True)
            ]
            for part in dealt
        ]
        return sums, items

    def _item_weights(self, labels, sample_weight):
        """Return the weights of the tasks' items."""
        return [
            task.item_weights(labels[task.label_name], self.trainer.weight_of(task, sample_weight))
            for task in self.trainer.tasks
        ]

    def _counts(self, weights, first_numbers):
        """Return the number (or the weight) of labelled items, `[parts, T]`."""
        dealt = self._deal(weights, first_numbers)
        return tf.stack([tf.stack(list(map(tf.reduce_sum, part))) for part in dealt])

    def _deal(self, weights, numbers):
        """Return the weights of the tasks' items, one list per part that the aggregator wants."""
        if self.num_parts == 1:
            return [weights]
        numbers = tf.unstack(numbers, len(weights))
        dealt = [deal(w, first, self.num_parts) for w, first in zip(weights, numbers, strict=True)]
        return list(zip(*dealt, strict=True))

    def _weigh(self, sums):
        """Balance the losses."""
        self.losses = self._losses(sums)
        losses = tf.unstack(self.losses, len(self.trainer.tasks))
        self.seeds, self.balancer_gradients = gradients.balance(
            losses, self.trainer.balancer, self.counts > 0
        )

    def _losses(self, sums):
        totals = distribution.all_reduce(tf.add_n([tf.stack(part) for part in sums]))
        return tf.math.divide_no_nan(totals, self.counts)

    def _derivatives(self, seeds):
        """Return the derivatives by the sums, one list per part."""
        derivatives = tf.math.divide_no_nan(seeds, self.part_counts)
        return [tf.unstack(part) for part in tf.unstack(derivatives, self.num_parts)]

    def _shares(self):
        """Return what share of a task's labelled items each part has, `[parts, T]`."""
        return tf.math.divide_no_nan(self.part_counts, self.counts)


@contextlib.contextmanager
def restored(variables):
    """Give variables their values back at the end of a block."""
    values = [tf.identity(variable.value) for variable in variables]
    yield
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


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


def num_examples(labels):
    """Return the number of examples of a dict of labels, as a float32 scalar."""
    return tf.cast(tf.shape(tf.nest.flatten(labels)[0])[0], tf.float32)


def not_finite(gradients):
    """Return whether a number among gradients, of which any may be `None`, is not finite or too large.

    Too large is what an optimizer cannot square: the sum of all squares must stay below `LARGEST_SQUARE`.
    """
    found = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients if g is not None]
    halves = [tf.cast(tf.nn.l2_loss(g), tf.float32) for g in found]
    return tf.logical_not(tf.add_n(halves) < LARGEST_SQUARE / 2) if halves else tf.zeros((), tf.bool)


def _add_sums(first, second):
    return [list(map(tf.add, *parts)) for parts in zip(first, second, strict=True)]


def _bad_rows(rows):
    """Return which tasks have a gradient that is not finite, `[T]`; one may have none at all."""
    return tf.stack([not_finite([tf.zeros(()), *row]) for row in rows])
