"""Training of one model on several tasks."""

import dataclasses
import functools

import keras
import tensorflow as tf

from mtl_zoo import arguments, outputs
from mtl_zoo.options import NON_FINITE as NON_FINITE
from mtl_zoo.spaces import with_spaces
from mtl_zoo.training import (
    balanced,
    balancer_optimizer,
    compiled,
    distribution,
    hooks,
    logs,
    meta_batches,
    metric_inputs,
    optimizer_parts,
    trainer_config,
    update,
)
from mtl_zoo.training.batch import joined
from mtl_zoo.training.border import Border
from mtl_zoo.training.guarded import Guarded
from mtl_zoo.training.problem import SPACES as SPACES
from mtl_zoo.training.problem import pose, renewed
from mtl_zoo.validation import check_log_keys, check_tasks


@keras.saving.register_keras_serializable("mtl_zoo")
class Trainer(Guarded):
    """Trains a Keras model with one output per task.

    `compile`, `fit`, `evaluate` and `predict` are those of `keras.Model`; losses and metrics come from the
    tasks. Labels are dicts `{task name: label}`, or in the structure of the model's outputs; sample weights
    are one tensor for all tasks, or likewise. `predict` returns predictions, activations applied, in that
    structure, `predict_logits` what they were made of.

    The logs hold, per task, the mean loss over labelled items (`left_loss`), its metrics (`left_accuracy`)
    and, in training, the mean weight of its gradient in the update (`left_weight`); `loss` is the plain sum
    of the task losses plus the model's own. What was not measured is NaN. More of it is in docs/training.md;
    how metrics are fed, in particular where labels are missing, in `task_metrics.TaskMetrics`.

    `save_weights` keeps everything: model, optimizer, method state and the state of random generators.
    `save` saves the wrapped model alone, as `keras.callbacks.ModelCheckpoint` does through it.

    Args:
        model: Built `keras.Model` with a dict or a list of outputs or a single one: logits, or what the
            task's softmax or sigmoid made of them as the last operation. A subclassed model can be trained in
            shared space, by methods without state per parameter.
        tasks: Sequence of `Task`, each named like its output (or with another `output`). Outputs that no task
            names are not trained.
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
        accumulate: Number of batches that make one update: `fit` joins them (those of a generator or a
            `PyDataset` must be as large already), and the step works them off one after the other. The update
            is that of the joined batch, but for layers that normalize by batch statistics. Defaults to 1.
        non_finite: What happens where a loss or a gradient is not finite. With `"skip"` the step changes
            nothing; the logs count such steps, and a warning at the end of an epoch names the tasks. With
            `"stop"` training ends with an error as well. Overflows under a `LossScaleOptimizer` are skipped
            either way. Defaults to `"skip"`.
        refresh_every: In every n-th step an aggregator that finds weights of the gradients, a
            `GramianAggregator`, finds new ones, in T backward passes; between, it uses the last ones, in one
            pass. They are also renewed where a task has labels that had none then. Defaults to 1.

    Under a `tf.distribute` strategy, build model and trainer in its scope: N replicas make the update of the
    joined batch, but for layers that normalize by batch statistics.

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
        refresh_every=1,
        **kwargs,
    ):
        super().__init__(model, **kwargs)
        view, tasks = check_tasks(model, tasks), with_spaces(tasks)
        outputs.warn_of_overrides(model)
        arguments.option("non_finite", non_finite, NON_FINITE)
        accumulate = arguments.integer("accumulate", accumulate, 1, arguments.COPIES)
        self.class_weights = balanced.Balanced(tasks)
        tasks = self.class_weights.resolved(tasks)
        self.problem = pose(view, tasks, balancer, aggregator, space, refresh_every)
        self.tasks = self.problem.tasks
        self.refresh, self.refresh_every = self.problem.refresh, refresh_every
        self.balancer, self.aggregator, self.space = balancer, aggregator, space
        self.accumulate, self.non_finite = accumulate, non_finite
        self.logs = logs.empty(self.tasks, balancer)
        self.loss_tracker, self.weight_tracker = self.logs.losses, self.logs.weights
        self.regularization_tracker, self.skipped = self.logs.penalties, self.logs.skipped
        self.task_metrics = self.logs.task_metrics
        metric_inputs.check(self.problem.model, self.task_metrics)
        self.border = Border(self.tasks, model)
        check_log_keys([*self.metrics_names, *(f"{task.name}_weight" for task in self.tasks)])
        self.built = True

    @classmethod
    def from_compiled(
        cls,
        model,
        balancer=None,
        aggregator=None,
        space="shared",
        accumulate=1,
        non_finite="skip",
        refresh_every=1,
    ):
        """Return a compiled trainer of a compiled Keras model: its losses, metrics and optimizer.

        Without a balancer and an aggregator it trains as `model.fit` does, and logs what that logs, but that
        names of outputs come before those of losses and metrics also if there is one output. `loss_weights`
        become `mtl_zoo.balancers.Static`; `weighted_loss` in the logs is what Keras calls `loss`.

        Args:
            model: Compiled functional or sequential `keras.Model`; see `mtl_zoo.tasks_of` for its tasks.
            balancer: As in `Trainer`. Defaults to `None`: `loss_weights`, if there are any.
            aggregator: As in `Trainer`.
            space: As in `Trainer`.
            accumulate: As in `Trainer`.
            non_finite: As in `Trainer`.
            refresh_every: As in `Trainer`.

        Raises:
            ValueError: If the model is not compiled or has no graph, a loss does not suit its output, or
                there are both `loss_weights` and a balancer.

        Example:

        >>> x = keras.Input((8,))
        >>> model = keras.Model(x, {"sex": keras.layers.Dense(1)(x), "age": keras.layers.Dense(1)(x)})
        >>> model.compile("adam", "mse", loss_weights={"sex": 1.0, "age": 0.1})
        >>> trainer = Trainer.from_compiled(model, aggregator=mz.aggregators.PCGrad())
        >>> trainer.optimizer is model.optimizer, trainer.balancer.start
        (True, [1.0, 0.1])
        """
        given = compiled.arguments_of(model)
        tasks = compiled.tasks_of(model, **{name: given[name] for name in compiled.OF_TASKS})
        balancer = compiled.balancer_of(model, tasks, given["loss_weights"], balancer)
        trainer = cls(model, tasks, balancer, aggregator, space, accumulate, non_finite, refresh_every)
        trainer.problem = dataclasses.replace(trainer.problem, as_keras=True)
        trainer.compile(
            distribution.unscaled(model.optimizer),
            run_eagerly=model.run_eagerly,
            steps_per_execution=model.steps_per_execution,
            jit_compile=given["jit_compile"],
        )
        return trainer

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        shared_rate=1.0,
    ):
        """Configure training; as `keras.Model.compile`, without losses and metrics, which tasks define.

        Args:
            optimizer: `keras.optimizers.Optimizer` or its name. Its clipping applies to the final gradient.
                A dict has one for `"shared"`, what several tasks use, and one for `"tasks"`, the rest, or
                for each task by name; see `optimizer_parts.OptimizerParts`.
            loss: Not to be given, as the next three: they are an error that says where they belong.
            loss_weights: As `loss`.
            metrics: As `loss`.
            weighted_metrics: As `loss`.
            run_eagerly: Whether to run steps without a graph. Defaults to `False`.
            steps_per_execution: Number of steps in one call of the compiled function. Defaults to 1.
            jit_compile: Whether to compile the step with XLA. Defaults to `"auto"`: on accelerators only.
            shared_rate: Factor of the learning rate of what several tasks use, which gets an optimizer of its
                own then, with clipping of its own. Defaults to 1.

        What is trained, and how, is settled here: freeze and unfreeze layers before. Trainable state of the
        balancer learns at the model's rate, without clipping or decay, and rests if its task has no label.

        Raises:
            ValueError: If losses, metrics or weights are given, or optimizers do not suit the parts.
        """
        compiled.check_absent(loss, loss_weights, metrics, weighted_metrics)
        distribution.check_keras(self.distribute_strategy)
        run_eagerly = arguments.flag("run_eagerly", run_eagerly)
        many = arguments.integer("steps_per_execution", steps_per_execution, 1, arguments.BATCHES)
        if jit_compile != "auto":
            jit_compile = arguments.flag("jit_compile", jit_compile)
        with self.distribute_strategy.scope():
            self.problem = renewed(self.problem)
            optimizer = optimizer_parts.make(optimizer, shared_rate, self.problem)
        super().compile(optimizer, run_eagerly=run_eagerly, steps_per_execution=many, jit_compile=jit_compile)
        with self.distribute_strategy.scope():
            optimizer_parts.build(self.optimizer, self.model, self.problem)
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
        meta_data=None,
        **kwargs,
    ):
        """Train; as `keras.Model.fit`, whose other arguments it takes too.

        Data of every kind are checked as `mtl_zoo.training.border.Border` says. Class weights are those of
        the tasks (`Task.class_weight`); balanced ones are counted first, in a pass over the data. Inputs in a
        dict are matched by name; what the model has no use for is left out. `meta_data` are for a balancer
        that learns from a second batch: a `tf.data.Dataset` or arrays, which every epoch begins anew.

        Raises:
            ValueError: If data are not what they must be, or there is an argument that does not belong here.
        """
        balanced.refuse(class_weight)
        x, y, sample_weight = self.border.admit(x, y, sample_weight, self._checks_in_step)
        count = functools.partial(self.class_weights.count, x, y, validation_split)
        validation_data = self._admitted(validation_data)
        meta_data = meta_batches.admitted(self.border, self.balancer, meta_data, batch_size or 32)
        if isinstance(x, tf.data.Dataset):
            x, shuffle = self._spread(joined(x, self.accumulate)), False
        else:
            batch_size = batch_size or 32
            kwargs.setdefault("validation_batch_size", batch_size)
            batch_size *= self.accumulate
        callbacks = hooks.with_own(callbacks, self.balancer)
        rest = (validation_split, validation_data, shuffle, class_weight, sample_weight)
        with (
            self.distribute_strategy.scope(),
            self.border.readable_errors(),
            meta_batches.beside(self, meta_data),
            hooks.sessions(callbacks),
        ):
            count()
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, *rest, **kwargs)

    def train_step(self, data):
        """Make one update, unless something is not finite, and return the logs; called by `fit`."""
        parts, meta = meta_batches.parted(data, self.accumulate)
        update.make(self.problem, self.optimizer, self.balancer_optimizer, parts, self.logs, meta)
        return {**self.logs.measured(), **self.logs.of_training()}

    def get_config(self):
        """Return what the trainer is made of, for Keras to save; weights are not part of it."""
        return trainer_config.of(self)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the trainer that `get_config` described."""
        return trainer_config.made(cls, config, custom_objects)
