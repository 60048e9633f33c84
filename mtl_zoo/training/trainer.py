"""Training of one model on several tasks."""

import contextlib
import functools
import weakref

import keras
import tensorflow as tf
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.aggregators.base import Aggregator
from mtl_zoo.balancers.base import Balancer
from mtl_zoo.training import balancer_optimizer, distribution, gradients, representation
from mtl_zoo.training.border import Border
from mtl_zoo.training.metrics import MeanPerTask, SkippedSteps
from mtl_zoo.training.non_finite import NonFinite
from mtl_zoo.training.progress import TrainingProgress
from mtl_zoo.training.step import Step, not_finite, num_examples
from mtl_zoo.training.task_metrics import TaskMetrics
from mtl_zoo.training.unmeasured import Unmeasured, warn
from mtl_zoo.validation import check_log_keys, check_tasks

SPACES = ("shared", "representation")
NON_FINITE = ("skip", "stop")


class Trainer(keras.Model):
    """Trains a functional model with one output per task.

    `compile`, `fit`, `evaluate` and `predict` are those of `keras.Model`; losses and metrics come from the
    tasks. Labels are dicts `{task name: label}`, sample weights one tensor for all tasks or a dict likewise.
    `predict` returns the model's logits; `task.activation` turns them into predictions.

    The logs hold, per task, the mean loss over labelled items (`left_loss`), its metrics (`left_accuracy`)
    and, in training, the mean weight of its gradient in the update (`left_weight`: the balancer's times the
    aggregator's, where it works by weights and the task shares something). `loss` is the plain sum of the
    task losses plus the model's own (regularization), in training as in validation, so that it compares
    between methods. Where no label of a task was seen, its loss, metrics and weight are NaN, `loss` leaves it
    out, and a warning names it; so are metrics that are not defined on the labels seen, as the AUC of one
    class. How metrics are fed, in particular where labels are missing, see `task_metrics.TaskMetrics`.

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
        ValueError: If tasks and outputs do not match, an option is unknown, a metric does not suit its task
            or cannot be computed where labels are missing, two numbers in the logs have one name, or `space`
            is `"representation"` and the model shares no trained representation or the aggregator needs more.
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
        arguments.option("non_finite", non_finite, NON_FINITE)
        arguments.option("space", space, SPACES)
        accumulate = arguments.integer("accumulate", accumulate, 1, arguments.COPIES)
        if balancer is not None:
            arguments.instance("balancer", balancer, Balancer)
        if aggregator is not None:
            arguments.instance("aggregator", aggregator, Aggregator)
        self.model = model
        self.tasks = tuple(tasks)
        self.balancer = balancer
        self.aggregator = aggregator
        self.space = space
        self.accumulate = accumulate
        self.non_finite = non_finite
        self.parts_of_model = self._split()
        self.trained_variables = functools.partial(
            list, model.trainable_variables
        )  # Keras would track a list
        self.balancer_optimizer = None
        self._build_methods()
        self.loss_tracker = MeanPerTask(len(self.tasks), name="losses")
        self.weight_tracker = MeanPerTask(len(self.tasks), name="weights")
        self.regularization_tracker = keras.metrics.Mean(name="regularization")
        self.skipped = SkippedSteps([task.name for task in self.tasks], name="skipped_steps")
        self.task_metrics = [TaskMetrics(task) for task in self.tasks]
        self.warned = []
        self.border = Border(self.tasks, model)
        check_log_keys([*self.metrics_names, *(f"{task.name}_weight" for task in self.tasks)])
        self.built = True

    def compile(self, optimizer="rmsprop", run_eagerly=False, steps_per_execution=1, jit_compile="auto"):
        """Configure training; as `keras.Model.compile`, without losses and metrics, which tasks define.

        Args:
            optimizer: `keras.optimizers.Optimizer` or its name. Its clipping applies to the final gradient.
            run_eagerly: Whether to run steps without a graph. Defaults to `False`.
            steps_per_execution: Number of steps in one call of the compiled function. Defaults to 1.
            jit_compile: Whether to compile the step with XLA. Defaults to `"auto"`: on accelerators only.

        What is trained, and how, is settled here: freeze and unfreeze layers before. Trainable state
        of the balancer learns as the model does, at the same rate, but takes no part in clipping and weight
        decay, and stays where it is while its task has no label.
        """
        run_eagerly = arguments.flag("run_eagerly", run_eagerly)
        steps_per_execution = arguments.integer(
            "steps_per_execution", steps_per_execution, 1, arguments.BATCHES
        )
        if jit_compile != "auto":
            jit_compile = arguments.flag("jit_compile", jit_compile)
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
        )
        with self.distribute_strategy.scope():
            self._follow_trainable()
            self.optimizer.build(self.trained_variables())
            learned = [] if self.balancer is None else self.balancer.trainable_variables
            self.balancer_optimizer = balancer_optimizer.make(self.optimizer, learned)
            for optimizer in self.optimizers:
                distribution.prepare(optimizer)

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
        class_weight=None,
        sample_weight=None,
        **kwargs,
    ):
        """Train; as `keras.Model.fit`, whose other arguments it takes too.

        Inputs, labels and sample weights are checked as `mtl_zoo.training.border.Border` says, in arrays,
        datasets and generators alike. Inputs in a dict are matched by name; what the model has no use for is
        left out.

        Raises:
            ValueError: If a label, a sample weight or an input is not what it must be, a task has no labels,
                or there is no example.
        """
        x, y, sample_weight = self.border.admit(x, y, sample_weight)
        if validation_data is not None:
            given = keras.utils.unpack_x_y_sample_weight(validation_data)
            val_x, *rest = self.border.admit(*given)
            validation_data = (self._spread(val_x), *rest)
        if isinstance(x, tf.data.Dataset):
            x, shuffle = self._spread(self._joined(x)), False
        else:
            batch_size = batch_size or 32
            kwargs.setdefault("validation_batch_size", batch_size)
            batch_size *= self.accumulate
        callbacks = self._with_own(callbacks)
        with self.distribute_strategy.scope(), self.border.readable_errors(), _sessions(callbacks):
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                **kwargs,
            )

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, return_dict=False, **kwargs):
        """Evaluate; as `keras.Model.evaluate`, whose other arguments it takes too.

        Returns:
            Dict of the logs, or a list of them in the order of `metrics_names`.

        Raises:
            ValueError: As for `fit`.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, which admitted it
            x, y, sample_weight = self.border.admit(x, y, sample_weight)
            x = self._spread(x)
        arguments = {"batch_size": batch_size, "sample_weight": sample_weight, **kwargs}
        with self.distribute_strategy.scope(), self.border.readable_errors():
            logs = super().evaluate(x, y, return_dict=True, **arguments)
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Make one update; as `keras.Model.train_on_batch`, with the checks of `fit`."""
        x, y, sample_weight = self.border.batch(x, y, sample_weight)
        with self.border.readable_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Measure one batch; as `keras.Model.test_on_batch`, with the checks of `evaluate`."""
        x, y, sample_weight = self.border.batch(x, y, sample_weight)
        with self.border.readable_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def call(self, inputs, training=None):
        """Return the model's outputs, a dict of logits; inputs in a dict may be more than the model takes."""
        return self.model(self.border.admit_inputs(inputs), training=training)

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
        finite = ~self._is_bad(step, found)
        scaled = gradients.scaled(found, step.scale)
        distribution.apply(self.optimizer, scaled, self.trained_variables(), finite)
        self._update_balancer(step, finite)
        tf.cond(finite, lambda: self._count(step), lambda: self._undo(step, state, values))
        return {**self._logs(), **self._training_logs()}

    def test_step(self, data):
        """Measure one batch and return the logs; called by `evaluate`. Leaves the state of methods alone."""
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        items = self.items(labels, self.model(x, training=False), sample_weight)
        sums = tf.stack([task.sum_loss(*item) for task, item in zip(self.tasks, items, strict=True)])
        counts = tf.stack([tf.reduce_sum(weights) for _, _, weights in items])
        self.loss_tracker.update_state(tf.math.divide_no_nan(sums, counts), counts)
        self._update_task_metrics(items, labels, sample_weight)
        penalties = self.model.losses
        if penalties:
            self.regularization_tracker.update_state(tf.add_n(penalties), num_examples(labels))
        return self._logs()

    @property
    def metrics(self):
        """All metrics, reset at the start of every epoch."""
        nested = [metric for found in self.task_metrics for metric in found.metrics]
        trackers = [self.loss_tracker, self.regularization_tracker, self.weight_tracker, self.skipped]
        return [*trackers, *nested]

    @property
    def trainable_weights(self):
        """What the compiled optimizer trains: the model's; Keras finalizes them after `fit`."""
        return self.model.trainable_weights

    @property
    def optimizers(self):
        """All optimizers: the one that was compiled and, where the balancer learns, the balancer's own."""
        return [optimizer for optimizer in (self.optimizer, self.balancer_optimizer) if optimizer is not None]

    @property
    def metrics_names(self):
        """Names of what `evaluate`, `train_on_batch` and `test_on_batch` return."""
        names = [name for found in self.task_metrics for name in found.names]
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
        if logs:
            counts = ops.convert_to_numpy(1.0 * self.loss_tracker.count)
            warn(self, [task.name for task, count in zip(self.tasks, counts, strict=True) if not count])
        return {name: found[name] for name in logs or found}  # none if `Resume` had all behind

    def _flatten_metrics_in_order(self, logs):
        """Return a list of the logs in the order of `metrics_names`."""
        return [logs[name] for name in self.metrics_names]

    def _random_states(self):
        saved = {id(variable) for variable in self.weights}
        return [variable for variable in self.variables if id(variable) not in saved]

    def _with_own(self, callbacks):
        """Put the balancer's `on_epoch_end` before all callbacks, so that checkpoints hold its result."""
        if isinstance(callbacks, keras.callbacks.CallbackList):
            return callbacks
        own = [NonFinite(), TrainingProgress(), Unmeasured(callbacks)]
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
        sizes = [len(batch) for batch in x.take(1).map(lambda _, labels, *rest: tf.nest.flatten(labels)[0])]
        if not sizes:
            return x
        number = int(x.cardinality())
        x = x.rebatch(sizes[0] * self.accumulate)
        known = tf.data.experimental.assert_cardinality(-(-number // self.accumulate))
        return x.apply(known) if number > 0 else x

    def _split(self):
        """Return trunk and heads if an aggregator works on the representation between them."""
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
        if self.balancer is not None and not self.balancer.built:
            self.balancer.build((len(self.tasks),))
        if self.aggregator is not None and not self.aggregator.built:
            self.aggregator.build(self._jacobian_shape())

    def _jacobian_shape(self):
        sizes = [None]
        if self.aggregator.state_per_parameter:
            sizes = gradients.shared_sizes(self.model, self.tasks) or [0]
        return [(len(self.tasks), size) for size in sizes]

    def _follow_trainable(self):
        """Take note of what is trainable now, and give the aggregator state that fits it."""
        before, now = self.trained_variables(), self.model.trainable_variables
        self.trained_variables = functools.partial(list, now)
        if list(map(id, before)) != list(map(id, now)):
            self.parts_of_model = self._split()
            if self.aggregator is not None and self.aggregator.state_per_parameter:
                self.aggregator.rebuild(self._jacobian_shape())

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

    def _is_bad(self, step, found):
        """Return whether a loss, a gradient, or the state of a layer or a method must not be used."""
        bad = [not_finite([*found, *step.balancer_gradients.values()]), ~_all_finite([step.losses])]
        if self.aggregator is not None:
            bad.append(tf.reduce_any(step.bad_rows()))
        variables = [*self.model.non_trainable_variables, *self._small_state_of_methods()]
        bad.append(~_all_finite([v.value for v in variables if keras.backend.is_float_dtype(v.dtype)]))
        return distribution.all_reduce(tf.cast(tf.reduce_any(bad), tf.float32)) > 0

    def _small_state_of_methods(self):
        """Return the state of the methods, but not that per parameter, which directions show."""
        methods = [method for method in (self.balancer, self.aggregator) if method is not None]
        return [
            variable
            for method in methods
            if not getattr(method, "state_per_parameter", False)
            for variable in method.non_trainable_variables
        ]

    def _update_balancer(self, step, finite):
        """Let the balancer learn and look again."""
        if self.balancer_optimizer is not None:
            variables = self.balancer.trainable_variables
            found = [step.balancer_gradients[id(variable)] for variable in variables]
            update = functools.partial(
                balancer_optimizer.update, self.balancer_optimizer, self.optimizer, variables
            )
            distribution.run_if(finite, update, (found, step.counts > 0))
        if self.balancer is not None and self.balancer.second_look:
            losses = step.measure()
            self.balancer.look(losses, (step.counts > 0) & tf.math.is_finite(losses))

    def _count(self, step):
        """Update the logs after a step."""
        for (_, labels, sample_weight), items in zip(step.portions, step.items, strict=True):
            self._update_task_metrics(items, labels, sample_weight)
        for penalty, number in step.regularization:
            self.regularization_tracker.update_state(penalty, number)
        self.loss_tracker.update_state(step.losses, step.counts)
        factors = tf.where(step.concerned, getattr(self.aggregator, "task_weights", 1.0), 1.0)
        weights = step.seeds * factors
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

    def _update_task_metrics(self, items, labels, sample_weight):
        for task, metrics, found in zip(self.tasks, self.task_metrics, items, strict=True):
            metrics.update_state(found, labels[task.label_name], self.weight_of(task, sample_weight))

    def _training_logs(self):
        return {
            **self._per_task(self.weight_tracker.result(), "weight"),
            "skipped_steps": self.skipped.result(),
        }

    def _logs(self):
        """Return the logs: NaN for a task without any label, which `loss` leaves out."""
        losses, labelled = self.loss_tracker.result(), self.loss_tracker.count > 0
        counted = labelled | (self.skipped.bad_losses > 0)
        total = tf.reduce_sum(tf.where(counted, losses, 0.0)) + self.regularization_tracker.result()
        logs = {"loss": tf.where(tf.reduce_any(counted), total, float("nan"))}
        logs |= self._per_task(losses, "loss")
        applied = (self.skipped.steps == 0) | (self.weight_tracker.count > 0)
        measured = tf.unstack(labelled & applied, len(self.tasks))
        for metrics, there in zip(self.task_metrics, measured, strict=True):
            logs |= metrics.results(there)
        return logs

    def _per_task(self, values, suffix):
        values = tf.unstack(values, len(self.tasks))
        return {f"{task.name}_{suffix}": value for task, value in zip(self.tasks, values, strict=True)}


def _all_finite(tensors):
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])


@contextlib.contextmanager
def _sessions(callbacks):
    """Enter the context `session` of the callbacks that have one: `Resume`."""
    with contextlib.ExitStack() as stack:
        for callback in [] if isinstance(callbacks, keras.callbacks.CallbackList) else list(callbacks):
            if hasattr(callback, "session"):
                stack.enter_context(callback.session(callbacks))
        yield
