"""Training of one model on several tasks."""

import keras
import tensorflow as tf

from mtl_zoo import gradients, representation
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.labels import checked, readable_label_errors
from mtl_zoo.metrics import MeanPerTask
from mtl_zoo.validation import check_tasks

SPACES = ("shared", "representation")


class Trainer(keras.Model):
    """Trains a functional model with one output per task.

    `compile`, `fit`, `evaluate` and `predict` are those of `keras.Model`; losses and metrics come from the
    tasks. Labels are dicts `{task name: label}`, sample weights one tensor for all tasks or a dict likewise.
    `predict` returns the model's logits; `task.activation` turns them into predictions.

    The logs hold, per task, the mean loss over labelled items (`left_loss`), its metrics (`left_accuracy`)
    and, in training, the mean weight of its gradient in the update (`left_weight`: the balancer's times the
    aggregator's, where it works by weights). `loss` is the plain sum of the task losses plus the model's own
    (regularization), in training as in validation, so that it compares between methods.

    `save_weights` keeps everything: model, optimizer, method state and the state of random generators.
    `save` saves the wrapped model alone, as `keras.callbacks.ModelCheckpoint` does through it.

    Args:
        model: Functional `keras.Model` with a dict of logits, keyed by task name.
        tasks: Sequence of `Task`. Outputs that no task names are not trained.
        balancer: `Balancer` of the losses. Defaults to `None`: their sum.
        aggregator: `Aggregator` of the task gradients of what is shared. Defaults to `None`: their sum, in
            one backward pass.
        space: What the aggregator sees: with `"shared"` the gradients of the shared variables, in T backward
            passes; with `"representation"` those of the tensors where the shared part of the model ends, in T
            passes through the rest and one through the shared part. Without an aggregator both are the
            same. Defaults to `"shared"`.

    Raises:
        ValueError: If tasks and outputs do not match, the space is unknown, or it is `"representation"` and
            the model shares no trained representation or the aggregator remembers parameters.
        TypeError: If `balancer` or `aggregator` is not an instance of its base class.

    Example:

    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = Trainer(model, tasks, aggregator=mz.aggregators.PCGrad())
    >>> trainer.compile("adam")
    >>> labels = {"click": np.array([0, 1]), "price": np.array([3.5, np.nan])}
    >>> history = trainer.fit(np.ones((2, 8)), labels, verbose=0)
    >>> sorted(history.history)[:4]
    ['click_accuracy', 'click_auc', 'click_loss', 'click_weight']
    """

    def __init__(self, model, tasks, balancer=None, aggregator=None, space="shared", **kwargs):
        super().__init__(**kwargs)
        check_tasks(model, tasks)
        _check_type("balancer", balancer, Balancer)
        _check_type("aggregator", aggregator, Aggregator)
        self.model = model
        self.tasks = tuple(tasks)
        self.balancer = balancer
        self.aggregator = aggregator
        self.space = space
        self.parts_of_model = self._split()
        self._build_methods()
        self.loss_tracker = MeanPerTask(len(self.tasks), name="losses")
        self.weight_tracker = MeanPerTask(len(self.tasks), name="weights")
        self.regularization_tracker = keras.metrics.Mean(name="regularization")
        self.task_metrics = [_make_metrics(task) for task in self.tasks]
        self.built = True

    def compile(self, optimizer="rmsprop", run_eagerly=False, steps_per_execution=1, jit_compile="auto"):
        """Configure training; as `keras.Model.compile`, without losses and metrics, which tasks define.

        Args:
            optimizer: `keras.optimizers.Optimizer` or its name. Its clipping applies to the final gradient.
            run_eagerly: Whether to run steps without a graph. Defaults to `False`.
            steps_per_execution: Number of steps in one call of the compiled function. Defaults to 1.
            jit_compile: Whether to compile the step with XLA. Defaults to `"auto"`: on accelerators only.
        """
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        **kwargs,
    ):
        """Train; as `keras.Model.fit`, whose other arguments it takes too.

        Labels in arrays and `tf.data.Dataset` are checked: shape, range, and that there are any.

        Raises:
            ValueError: If a label has the wrong shape or range, a task has none, or a dataset is empty.
        """
        x = checked(x, y, self.tasks)
        if isinstance(validation_data, tf.data.Dataset):
            validation_data = checked(validation_data, None, self.tasks)
        elif isinstance(validation_data, (tuple, list)):
            checked(*validation_data[:2], self.tasks)
        with readable_label_errors(self.tasks):
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=self._with_epoch_hook(callbacks),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle and not isinstance(x, tf.data.Dataset),
                **kwargs,
            )

    def evaluate(self, x=None, y=None, batch_size=None, return_dict=False, **kwargs):
        """Evaluate; as `keras.Model.evaluate`, whose other arguments it takes too.

        Returns:
            Dict of the logs, or a list of them in the order of `metrics_names`.

        Raises:
            ValueError: As for `fit`.
        """
        x = checked(x, y, self.tasks)
        with readable_label_errors(self.tasks):
            logs = super().evaluate(x, y, batch_size=batch_size, return_dict=True, **kwargs)
        return logs if return_dict else [logs[name] for name in self.metrics_names]

    def call(self, inputs, training=None):
        """Return the model's outputs: a dict of logits."""
        return self.model(inputs, training=training)

    def train_step(self, data):
        """Make one update and return the logs; called by `fit`."""
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(persistent=self.aggregator is not None) as tape:
            logits, representation = self._forward(x, tape)
            items, losses = self._task_losses(labels, logits, sample_weight)
            parts = self._parts(labels, logits, sample_weight) or [(items, losses)]
            regularization = [tf.add_n(self.model.losses)] if self.model.losses else []
        counts = _counts(items)
        present = counts > 0
        seeds, balancer_gradients = gradients.balance(losses, self.balancer, present)
        scale = self.optimizer.scale_loss(1.0)
        pull = gradients.puller(tape, scale)
        variables = self.trainable_variables
        if self.aggregator is None:
            found = gradients.weighted(pull, losses, variables, seeds, regularization)
        else:
            found = self._aggregated(pull, parts, seeds, losses, regularization, representation)
        found = [balancer_gradients.get(id(v), g) for v, g in zip(variables, found, strict=True)]
        self.optimizer.apply(gradients.scaled(found, scale), variables)
        if self.balancer is not None and self.balancer.second_look:
            self._look_again(x, labels, sample_weight, present)
        self._update_metrics(items, losses, counts, regularization)
        self.weight_tracker.update_state(seeds * getattr(self.aggregator, "task_weights", 1.0), present)
        return {**self._logs(), **self._per_task(self.weight_tracker, "weight")}

    def test_step(self, data):
        """Measure one batch and return the logs; called by `evaluate`. Leaves the state of methods alone."""
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        items, losses = self._task_losses(labels, self.model(x, training=False), sample_weight)
        self._update_metrics(items, losses, _counts(items), self.model.losses)
        return self._logs()

    @property
    def metrics(self):
        """All metrics, reset at the start of every epoch."""
        nested = keras.tree.flatten(self.task_metrics)
        return [self.loss_tracker, self.regularization_tracker, self.weight_tracker, *nested]

    @property
    def metrics_names(self):
        """Names of what `evaluate` returns."""
        names = [metric.name for metric in keras.tree.flatten(self.task_metrics)]
        return ["loss", *(f"{task.name}_loss" for task in self.tasks), *names]

    def save(self, filepath, overwrite=True, **kwargs):
        """Save the wrapped model; as `keras.Model.save`."""
        self.model.save(filepath, overwrite=overwrite, **kwargs)

    def save_own_variables(self, store):
        """Save the states of all random generators, which Keras leaves out."""
        for index, state in enumerate(self._random_states()):
            store[str(index)] = state

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        for index, state in enumerate(self._random_states()):
            state.assign(store[str(index)])

    def _random_states(self):
        saved = {id(variable) for variable in self.weights}
        return [variable for variable in self.variables if id(variable) not in saved]

    def _with_epoch_hook(self, callbacks):
        """Put the balancer's `on_epoch_end` before all callbacks, so that checkpoints hold its result."""
        if self.balancer is None or isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        hook = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self.balancer.on_epoch_end())
        return [hook, *keras.tree.flatten(callbacks or [])]

    def _split(self):
        """Return trunk and heads if an aggregator works on the representation between them."""
        if self.space not in SPACES:
            raise ValueError(f"`space` must be one of {SPACES}. Received: space={self.space!r}")
        if self.aggregator is None or self.space == "shared":
            return ()
        if self.aggregator.state_per_parameter:
            raise ValueError(
                f"{type(self.aggregator).__name__} remembers something about every parameter, which a "
                "representation does not have: `space` must be 'shared'. Received: space='representation'"
            )
        return representation.split(self.model, self.tasks)

    def _build_methods(self):
        """Create all state of the methods now, so that it can be loaded before the first step."""
        num_tasks = len(self.tasks)
        if self.balancer is not None and not self.balancer.built:
            self.balancer.build((num_tasks,))
        if self.aggregator is not None and not self.aggregator.built:
            sizes = [None]
            if self.aggregator.state_per_parameter:
                sizes = gradients.shared_sizes(self.model, self.tasks) or [0]
            self.aggregator.build([(num_tasks, size) for size in sizes])

    def _forward(self, x, tape):
        """Return the logits and, in representation space, the tensors before and after the cut."""
        if not self.parts_of_model:
            return self.model(x, training=True), None
        trunk, heads = self.parts_of_model
        before = keras.tree.flatten(trunk(x, training=True))
        with tape.stop_recording():
            after = [tf.identity(tensor) for tensor in before]
        tape.watch(after)
        inputs = tf.nest.map_structure(tf.convert_to_tensor, x)
        return heads([after, inputs], training=True), (before, after)

    def _aggregated(self, pull, parts, seeds, losses, regularization, representation):
        """Return the gradients of the variables by way of the aggregator, and of the regularization."""
        variables = self.trainable_variables
        present = tf.reduce_all(tf.stack([_counts(items) > 0 for items, _ in parts]), axis=0)
        parts = [losses_of_part for _, losses_of_part in parts]
        if representation is None:
            rows = gradients.jacobian(pull, parts, variables, seeds)
            found = gradients.aggregate(rows, self.aggregator, losses, present)
            return gradients.add(found, pull(regularization, variables)) if regularization else found
        before, after = representation
        rows = gradients.jacobian(pull, parts, [*after, *variables], seeds)
        directions = gradients.aggregate(
            [row[: len(after)] for row in rows], self.aggregator, losses, present
        )
        heads = gradients.total([row[len(after) :] for row in rows], self.aggregator.sub_batches)
        if regularization:
            extra = pull(regularization, [*after, *variables])
            directions = gradients.add(directions, extra[: len(after)])
            heads = gradients.add(heads, extra[len(after) :])
        return gradients.add(heads, pull(before, variables, directions))

    def _task_losses(self, labels, logits, sample_weight):
        """Return each task's flat labels, logits and weights, and its loss."""
        items = [
            task.items(
                labels[task.label_name],
                logits[task.name],
                sample_weight.get(task.label_name) if isinstance(sample_weight, dict) else sample_weight,
            )
            for task in self.tasks
        ]
        return items, [task.mean_loss(*item) for task, item in zip(self.tasks, items, strict=True)]

    def _parts(self, labels, logits, sample_weight):
        """Return items and losses of each part of the batch that the aggregator wants, if it wants several.

        Example i belongs to part i % n.
        """
        number = 1 if self.aggregator is None else self.aggregator.sub_batches
        if number == 1:
            return []
        batch = (labels, logits, sample_weight)
        parts = [
            tf.nest.map_structure(lambda x, k=k: None if x is None else x[k::number], batch)
            for k in range(number)
        ]
        return [self._task_losses(*part) for part in parts]

    def _look_again(self, x, labels, sample_weight, present):
        """Show the balancer the batch's losses after the update; the statistics of normalization stay."""
        state = self.model.non_trainable_variables
        values = [tf.identity(variable.value) for variable in state]
        _, losses = self._task_losses(labels, self.model(x, training=True), sample_weight)
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        self.balancer.look(tf.stack(losses), present)

    def _update_metrics(self, items, losses, counts, regularization):
        self.loss_tracker.update_state(losses, counts)
        for task, metrics, (labels, logits, weights) in zip(
            self.tasks, self.task_metrics, items, strict=True
        ):
            for metric in metrics:
                metric.update_state(labels, task.activation(logits), sample_weight=weights)
        if regularization:
            self.regularization_tracker.update_state(tf.add_n(regularization))

    def _logs(self):
        total = tf.reduce_sum(self.loss_tracker.result()) + self.regularization_tracker.result()
        logs = {"loss": total, **self._per_task(self.loss_tracker, "loss")}
        return logs | {metric.name: metric.result() for metric in keras.tree.flatten(self.task_metrics)}

    def _per_task(self, tracker, suffix):
        values = tf.unstack(tracker.result(), len(self.tasks))
        return {f"{task.name}_{suffix}": value for task, value in zip(self.tasks, values, strict=True)}


def _make_metrics(task):
    """Return the task's metrics, named as in the logs."""
    metrics = [make() for make in task.metrics]
    for metric in metrics:
        metric.name = f"{task.name}_{metric.name}"
    return metrics


def _counts(items):
    """Return the number (or the weight) of each task's labelled items, `[T]`."""
    return tf.stack([tf.reduce_sum(weights) for _, _, weights in items])


def _check_type(name, value, expected):
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"`{name}` must be an instance of `{expected.__name__}`. Received: {name}={value!r}")
