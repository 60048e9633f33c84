"""One update of a model on several tasks."""

import contextlib
import functools

import keras
import tensorflow as tf

from mtl_zoo import distribution, gradients
from mtl_zoo.aggregators.base import inner_products

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
        counts = tf.add_n([self._counts(*rest) for _, *rest in self.portions])
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
            sums = [self._sums(self.trainer.model(x, training=True), *rest)[0] for x, *rest in self.portions]
        return self._losses(functools.reduce(_add_sums, sums))

    def _in_shared(self):
        """Return the gradients by way of those of the variables."""
        trainer, whole = self.trainer, len(self.portions) == 1
        one_pass = trainer.aggregator is None and (whole or trainer.balancer is None)
        rows, sums = [], None
        for portion in self.portions:
            with tf.control_dependencies([g for row in rows for g in row if g is not None]):
                tape, latest, penalty = self._record(portion)
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
        self.bad_rows = lambda: tf.stack([not_finite(row) for row in rows[:number]])
        if self.trainer.aggregator is None:
            return gradients.total(rows)
        self.concerned = gradients.concerned(rows[:number])
        found = gradients.aggregate(
            rows[:number], self.trainer.aggregator, self.losses, self._present_in_all_parts()
        )
        return gradients.add(found, rows[number]) if len(rows) > number else found

    def _in_representation(self):
        """Return the gradients by way of those of the tensors where the shared part ends."""
        aggregator, number = self.trainer.aggregator, len(self.trainer.tasks)
        befores, afters, sums, penalties = [], [], None, []
        with tf.GradientTape(persistent=True) as tape:
            for x, *rest in self.portions:
                logits, before, after = self._cut(x, tape)
                latest, items = self._sums(logits, *rest)
                sums = latest if sums is None else _add_sums(sums, latest)
                penalties += self._penalty(rest[0])
                befores, afters = [*befores, *before], [*afters, *after]
                self.items.append(items)
        self._weigh(sums)
        pull = gradients.puller(tape, self.scale)
        rows = gradients.jacobian(pull, sums, [*afters, *self.variables], self._derivatives(self.seeds))
        self.bad_rows = lambda: tf.stack([not_finite(row) for row in rows[:number]])
        boundary = [row[: len(afters)] for row in rows]
        self.concerned = gradients.concerned(boundary)
        directions = gradients.aggregate(
            boundary, aggregator, self.losses, self._present_in_all_parts(), self._gramian
        )
        heads = gradients.total([row[len(afters) :] for row in rows], aggregator.sub_batches)
        if penalties:
            extra = pull(penalties, [*afters, *self.variables])
            directions = gradients.add(directions, extra[: len(afters)])
            heads = gradients.add(heads, extra[len(afters) :])
        return distribution.all_reduce(gradients.add(heads, pull(befores, self.variables, directions)))

    def _record(self, portion):
        """Run the model; return the tape, the sums of the losses and the regularization."""
        x, *rest = portion
        with tf.GradientTape(persistent=True) as tape:
            sums, items = self._sums(self.trainer.model(x, training=True), *rest)
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

    def _sums(self, logits, labels, sample_weight):
        """Return the sums of the tasks' losses, one list per part, and the items of the whole portion."""
        items = self.trainer.items(labels, logits, sample_weight)
        tasks = self.trainer.tasks
        if self.num_parts == 1:
            return [[task.sum_loss(*item) for task, item in zip(tasks, items, strict=True)]], items
        sums = []
        for labels_of_part, logits_of_part, weights in self._parts((labels, logits, sample_weight)):
            found = self.trainer.items(labels_of_part, logits_of_part, weights)
            sums.append([task.sum_loss(*item) for task, item in zip(tasks, found, strict=True)])
        return sums, items

    def _counts(self, labels, sample_weight):
        """Return the number (or the weight) of labelled items, `[parts, T]`."""
        return tf.stack(
            [
                tf.stack(
                    [
                        task.count(labels_of_part[task.label_name], self.trainer.weight_of(task, weights))
                        for task in self.trainer.tasks
                    ]
                )
                for labels_of_part, weights in self._parts((labels, sample_weight))
            ]
        )

    def _parts(self, batch):
        """Return the parts of a batch that the aggregator wants: example i belongs to part i % n."""
        if self.num_parts == 1:
            return [batch]
        return [
            tf.nest.map_structure(lambda x, k=k: None if x is None else x[k :: self.num_parts], batch)
            for k in range(self.num_parts)
        ]

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

    def _present_in_all_parts(self):
        return tf.reduce_all(self.part_counts > 0, axis=0)

    def _gramian(self, blocks):
        """Return the inner products of the rows on all replicas."""
        return distribution.all_reduce(inner_products(blocks))


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
