"""Training of one model on several tasks."""

import contextlib
import weakref

import keras
import tensorflow as tf

from mtl_zoo import distribution, gradients, representation
from mtl_zoo._non_finite import NonFinite
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.labels import checked, readable_label_errors
from mtl_zoo.metrics import MeanPerTask, SkippedSteps
from mtl_zoo.step import Step, not_finite, num_examples
from mtl_zoo.validation import check_tasks

SPACES = ("shared", "representation")
NON_FINITE = ("skip", "stop")


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
        aggregator: `Aggregator` of the task gradients of what is shared. What belongs to one task gets that
            task's gradient, times its weight if the aggregator is one of weights of the losses. Defaults to
            `None`: their sum, in one backward pass.
        space: What the aggregator sees: with `"shared"` the gradients of the shared variables, in T backward
            passes; with `"representation"` those of the tensors where the shared part of the model ends (and
            of variables behind them that several tasks use), in T passes through the rest and one through the
            shared part. What a method promises, such as to oppose no task, holds for the gradients it sees:
            with `"representation"` not for the variables before these tensors. Without an aggregator both
            are the same. Defaults to `"shared"`.
        accumulate: Number of batches that make one update: `fit` joins them (all of one size but the last;
            those of a generator or a `PyDataset` must be as large already), and the step works them off one
            after the other, so that one batch's activations are in memory at a time. The update is that of
            the joined batch, but for layers that normalize by batch statistics. With both a balancer and
            several batches, T backward passes are made; in representation space, all activations are in
            memory. Defaults to 1.
        non_finite: What happens where a loss or a gradient is not finite. With `"skip"` the step changes
            nothing; the logs count such steps, and a warning at the end of an epoch names the tasks (of bad
            gradients, where they are computed task by task: with an aggregator, or a balancer and several
            portions). With `"stop"` training ends with an error as well. Overflows under a
            `LossScaleOptimizer` are skipped either way. Defaults to `"skip"`.

    Under a `tf.distribute` strategy, build model and trainer in its scope. Losses are divided by the numbers
    of labelled items on all replicas, task gradients (or, in representation space, their inner products) are
    added up before the aggregator sees them: N replicas make the update of the joined batch, but for layers
    that normalize by batch statistics. Where a replica gets no example, these statistics are not finite, and
    the step is skipped: let the batches be at least as large as the number of replicas.

    Raises:
        ValueError: If tasks and outputs do not match, an option is unknown, or `space` is
            `"representation"` and the model shares no trained representation or the aggregator needs more.
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

    def __init__(
        self,
        model,
        tasks,
        balancer=None,
        aggregator=None,
        space="shared",
        accumulate=1,
        non_finite="skip",
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_tasks(model, tasks)
        _check_option("non_finite", non_finite, NON_FINITE)
        if accumulate < 1:
            raise ValueError(f"`accumulate` must be at least 1. Received: accumulate={accumulate}")
        _check_type("balancer", balancer, Balancer)
        _check_type("aggregator", aggregator, Aggregator)
        self.model = model
        self.tasks = tuple(tasks)
        self.balancer = balancer
        self.aggregator = aggregator
        self.space = space
        self.accumulate = accumulate
        self.non_finite = non_finite
        self.parts_of_model = self._split()
        self._build_methods()
        self.loss_tracker = MeanPerTask(len(self.tasks), name="losses")
        self.weight_tracker = MeanPerTask(len(self.tasks), name="weights")
        self.regularization_tracker = keras.metrics.Mean(name="regularization")
        self.skipped = SkippedSteps([task.name for task in self.tasks], name="skipped_steps")
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
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)
            distribution.prepare(self.optimizer)

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
        if isinstance(x, tf.data.Dataset):
            x, shuffle = self._spread(self._joined(x)), False
        else:
            batch_size = batch_size or 32
            kwargs.setdefault("validation_batch_size", batch_size)
            batch_size *= self.accumulate
        callbacks = self._with_own(callbacks)
        with self.distribute_strategy.scope(), readable_label_errors(self.tasks), _sessions(callbacks):
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=self._spread(validation_data),
                shuffle=shuffle,
                **kwargs,
            )

    def evaluate(self, x=None, y=None, batch_size=None, return_dict=False, **kwargs):
        """Evaluate; as `keras.Model.evaluate`, whose other arguments it takes too.

        Returns:
            Dict of the logs, or a list of them in the order of `metrics_names`.

        Raises:
            ValueError: As for `fit`.
        """
        x = self._spread(checked(x, y, self.tasks))
        with self.distribute_strategy.scope(), readable_label_errors(self.tasks):
            logs = super().evaluate(x, y, batch_size=batch_size, return_dict=True, **kwargs)
        return logs if return_dict else [logs[name] for name in self.metrics_names]

    def call(self, inputs, training=None):
        """Return the model's outputs: a dict of logits."""
        return self.model(inputs, training=training)

    def train_step(self, data):
        """Make one update and return the logs; called by `fit`.

        Where a loss or a gradient is not finite, weights and state stay as they are, and the step is counted.
        """
        state = self._state_of_the_step()
        values = [tf.identity(variable.value) for variable in state]
        given = [x for x in tf.nest.flatten(data, expand_composites=True) if x is not None]
        with tf.control_dependencies(given):  # at the end of the data, no random number is drawn in vain
            step = Step(self, data)
            found = step.gradients()
        finite = ~(not_finite([step.losses, *found]) | self._state_is_not_finite())
        scaled = gradients.scaled(found, step.scale)
        distribution.apply(self.optimizer, scaled, self.trainable_variables, finite)
        if self.balancer is not None and self.balancer.second_look:
            losses = step.measure()
            self.balancer.look(losses, (step.counts > 0) & tf.math.is_finite(losses))
        tf.cond(finite, lambda: self._count(step), lambda: self._undo(step, state, values))
        return {**self._logs(), **self._training_logs()}

    def test_step(self, data):
        """Measure one batch and return the logs; called by `evaluate`. Leaves the state of methods alone."""
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        items = self.items(labels, self.model(x, training=False), sample_weight)
        sums = tf.stack([task.sum_loss(*item) for task, item in zip(self.tasks, items, strict=True)])
        counts = tf.stack([tf.reduce_sum(weights) for _, _, weights in items])
        self.loss_tracker.update_state(tf.math.divide_no_nan(sums, counts), counts)
        self._update_task_metrics(items)
        penalties = self.model.losses
        if penalties:
            self.regularization_tracker.update_state(tf.add_n(penalties), num_examples(labels))
        return self._logs()

    @property
    def metrics(self):
        """All metrics, reset at the start of every epoch."""
        nested = keras.tree.flatten(self.task_metrics)
        trackers = [self.loss_tracker, self.regularization_tracker, self.weight_tracker, self.skipped]
        return [*trackers, *nested]

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

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Build nothing: all is built. Keras' version fails under `MultiWorkerMirroredStrategy`."""
        if iterator is not None:
            self.epoch_iterator = weakref.ref(iterator)  # for `Resume`, which needs the place in the data

    def _make_function(self, step_function):
        """As Keras, whose reduction over several workers needs logs with an axis."""
        if not distribution.has_workers(self.distribute_strategy):
            return super()._make_function(step_function)

        def with_axis(data):
            return tf.nest.map_structure(lambda x: tf.reshape(x, (1,)), step_function(data))

        return super()._make_function(with_axis)

    def _get_metrics_result_or_logs(self, logs):
        """Return the logs of an epoch, over all replicas."""
        found = {**self._logs(), **self._training_logs()}
        return {name: found[name] for name in logs or found}  # none if `Resume` had all behind

    def _random_states(self):
        saved = {id(variable) for variable in self.weights}
        return [variable for variable in self.variables if id(variable) not in saved]

    def _with_own(self, callbacks):
        """Put the balancer's `on_epoch_end` before all callbacks, so that checkpoints hold its result."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        own = [NonFinite()]
        if self.balancer is not None:
            hook = lambda epoch, logs: self.balancer.on_epoch_end()  # noqa: E731
            own.append(keras.callbacks.LambdaCallback(on_epoch_end=hook))
        return [*own, *keras.tree.flatten(callbacks or [])]

    def _spread(self, x):
        return distribution.spread(x, self.distribute_strategy)

    def _joined(self, x):
        """Return a dataset of batches that each hold those of one update."""
        if self.accumulate == 1:
            return x
        sizes = [len(batch) for batch in x.take(1).map(lambda inputs, *rest: tf.nest.flatten(inputs)[0])]
        if not sizes:
            return x
        number = int(x.cardinality())
        x = x.rebatch(sizes[0] * self.accumulate)
        known = tf.data.experimental.assert_cardinality(-(-number // self.accumulate))
        return x.apply(known) if number > 0 else x

    def _split(self):
        """Return trunk and heads if an aggregator works on the representation between them."""
        _check_option("space", self.space, SPACES)
        if self.aggregator is None or self.space == "shared":
            return ()
        if self.aggregator.state_per_parameter:
            raise ValueError(
                f"{type(self.aggregator).__name__} remembers something about every parameter, which a "
                "representation does not have: `space` must be 'shared'. Received: space='representation'"
            )
        if self.aggregator.sub_batches > 1:
            raise ValueError(
                f"{type(self.aggregator).__name__} compares the gradients of different examples, which in a "
                "representation have no element in common: `space` must be 'shared'. "
                "Received: space='representation'"
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

    def items(self, labels, logits, sample_weight=None):
        """Return what `Task.items` returns, for every task.

        Args:
            labels: Dict of labels.
            logits: Dict of logits, as the model returns them.
            sample_weight: As in `fit`.
        """
        return [
            task.items(labels[task.label_name], logits[task.name], self.weight_of(task, sample_weight))
            for task in self.tasks
        ]

    def weight_of(self, task, sample_weight):
        """Return the sample weight of one task, out of that for all or a dict."""
        return sample_weight.get(task.label_name) if isinstance(sample_weight, dict) else sample_weight

    def _state_of_the_step(self):
        """Return what a step changes besides trainable variables and the optimizer."""
        parts = [part for part in (self.model, self.balancer, self.aggregator) if part is not None]
        return [variable for part in parts for variable in part.non_trainable_variables]

    def _state_is_not_finite(self):
        """Return whether a layer's statistics are not finite on some replica."""
        variables = self.model.non_trainable_variables
        state = [v.value for v in variables if keras.backend.is_float_dtype(v.dtype)]
        if not state:
            return False
        return distribution.all_reduce(tf.cast(not_finite(state), tf.float32)) > 0

    def _count(self, step):
        """Update the logs after a step."""
        for items in step.items:
            self._update_task_metrics(items)
        for penalty, number in step.regularization:
            self.regularization_tracker.update_state(penalty, number)
        self.loss_tracker.update_state(step.losses, step.counts)
        weights = step.seeds * getattr(self.aggregator, "task_weights", 1.0)
        self.weight_tracker.update_state(weights, step.counts > 0)
        return 0

    def _undo(self, step, state, values):
        """Restore the state before a step whose losses or gradients are not finite, and count it."""
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)
        known = tf.math.is_finite(step.losses)
        self.loss_tracker.update_state(tf.where(known, step.losses, 0.0), tf.where(known, step.counts, 0.0))
        share = 1.0 / distribution.num_replicas()
        self.skipped.update_state(~known, step.bad_rows(), share)
        return 0

    def _update_task_metrics(self, items):
        for task, metrics, (labels, logits, weights) in zip(
            self.tasks, self.task_metrics, items, strict=True
        ):
            for metric in metrics:
                metric.update_state(labels, task.activation(logits), sample_weight=weights)

    def _training_logs(self):
        return {
            **self._per_task(self.weight_tracker.result(), "weight"),
            "skipped_steps": self.skipped.result(),
        }

    def _logs(self):
        never_finite = (self.skipped.bad_losses > 0) & (self.loss_tracker.count == 0)
        losses = tf.where(never_finite, float("nan"), self.loss_tracker.result())
        logs = {"loss": tf.reduce_sum(losses) + self.regularization_tracker.result()}
        logs |= self._per_task(losses, "loss")
        return logs | {metric.name: metric.result() for metric in keras.tree.flatten(self.task_metrics)}

    def _per_task(self, values, suffix):
        values = tf.unstack(values, len(self.tasks))
        return {f"{task.name}_{suffix}": value for task, value in zip(self.tasks, values, strict=True)}


@contextlib.contextmanager
def _sessions(callbacks):
    """Enter the context `session` of the callbacks that have one: `Resume`."""
    with contextlib.ExitStack() as stack:
        for callback in [] if isinstance(callbacks, keras.callbacks.CallbackList) else list(callbacks):
            if hasattr(callback, "session"):
                stack.enter_context(callback.session(callbacks))
        yield


def _make_metrics(task):
    """Return the task's metrics, named as in the logs."""
    metrics = [make() for make in task.metrics]
    for metric in metrics:
        metric.name = f"{task.name}_{metric.name}"
    return metrics


def _check_option(name, value, options):
    if value not in options:
        raise ValueError(f"`{name}` must be one of {options}. Received: {name}={value!r}")


def _check_type(name, value, expected):
    if value is not None and not isinstance(value, expected):
        raise TypeError(f"`{name}` must be an instance of `{expected.__name__}`. Received: {name}={value!r}")
