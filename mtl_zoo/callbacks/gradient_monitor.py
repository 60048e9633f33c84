"""Gradients under watch: their sizes by task and layer, and whether tasks agree."""

import csv
import itertools
import pathlib

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from mtl_zoo import arguments, plots
from mtl_zoo.callbacks import _gradient_health
from mtl_zoo.training.trainer import Trainer

TABLE = "gradients.csv"
PICTURE = "gradients.png"
COLUMNS = ("step", "quantity", "layer", "task", "other_task", "value")
NORM, COSINE, RATIO = "gradient_norm", "cosine", "update_ratio"
MIN_EVERY, EVERY_PER_TASK = 500, 50


class GradientMonitor(keras.callbacks.Callback):
    """Measures gradients at intervals while a `Trainer` trains, and warns where they die, vanish or explode.

    It measures on a probe, one batch that stays the same, so that the numbers of different steps, runs and
    methods compare: with the model in inference mode and each task's own loss, before balancer and
    aggregator. Training goes on bit for bit as it would without it.

    * `gradient_norm`, by layer and task: the Euclidean norm of the gradient of the task's loss by the layer's
      trainable variables. Layers stand in graph order; those of an inner model are named
      `inner model/layer`. What a task does not reach has none. Below 1e-19 it may be counted as 0.
    * `update_ratio`, by layer: the norm of the change that the training step just made (or the steps, with
      `steps_per_execution`) over the norm of the weights after it. About 1e-3 is usual.
    * `cosine`, by pair of tasks: of their gradients of the variables that both reach. Below 0 they conflict.

    It measures after the first step, and after those that follow every multiple of `every`. The directory
    gets `gradients.csv` (one row per number: step, quantity, layer, task, other_task, value), the same as
    TensorBoard scalars and, at the end of training, the picture `gradients.png`. Training that starts at step
    0 replaces the table; training that goes on with a restored or trained optimizer continues it.

    Alerts, in `alerts` and logged as warnings, once for each kind and place:

    * `dead`: no layer receives a gradient from a task.
    * `vanishing`: a layer's norm is below `vanishing_norm`, or below `vanishing_ratio` times the largest of a
      later layer that the task reaches.
    * `exploding`: a layer's norm is above `exploding_norm` or not finite. With loss scaling, one that is not
      finite is no alert: the optimizer lowers the scale and skips the step.

    Under a distribution strategy one replica, of several workers the chief's, measures the whole probe.

    Args:
        directory: Directory to write to.
        data: The probe: `(inputs, labels)` or `(inputs, labels, sample_weight)`, one batch as `Trainer.fit`
            takes it, or a `tf.data.Dataset` whose first batch is used. A dataset that shuffles changes its
            order with every pass: give another one than the training data. Every task needs a label.
        every: Number of steps between measurements. Defaults to 500, or 50 per task if these are more: with a
            probe of the training's batch size they cost less than 3% of its time, after about a second for
            compilation and picture.
        vanishing_ratio: See above. Defaults to 1e-4.
        vanishing_norm: See above. Defaults to 1e-8.
        exploding_norm: See above. Defaults to 1e3.

    Raises:
        ValueError: If `every` is below 1, the limits are not in order or the probe does not fit the tasks.
        TypeError: If the model is not a `Trainer`.

    Example:

    >>> import tempfile
    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = mz.Trainer(model, tasks)
    >>> trainer.compile("adam")
    >>> batch = np.ones((2, 8)), {"click": np.array([0, 1]), "price": np.array([3.5, np.nan])}
    >>> monitor = GradientMonitor(tempfile.mkdtemp(), batch)
    >>> history = trainer.fit(*batch, callbacks=[monitor], verbose=0)
    >>> sorted(path.name.split(".")[0] for path in monitor.directory.iterdir()), monitor.alerts
    (['events', 'gradients', 'gradients'], [])
    """

    def __init__(
        self, directory, data, every=None, vanishing_ratio=1e-4, vanishing_norm=1e-8, exploding_norm=1e3
    ):
        super().__init__()
        if every is not None:
            every = arguments.integer("every", every, 1)
        vanishing_ratio = arguments.number("vanishing_ratio", vanishing_ratio, least=0)
        vanishing_norm = arguments.number("vanishing_norm", vanishing_norm)
        exploding_norm = arguments.number("exploding_norm", exploding_norm)
        if not 0 <= vanishing_norm < exploding_norm:
            raise ValueError(
                "`vanishing_norm` must be between 0 and `exploding_norm`. "
                f"Received: vanishing_norm={vanishing_norm!r}, exploding_norm={exploding_norm!r}"
            )
        self.directory = pathlib.Path(arguments.path("directory", directory))
        self.every = every
        self.limits = (vanishing_ratio, vanishing_norm, exploding_norm)
        self.alerts = []
        self.layers = []
        self._probe = _first_batch(data)
        self._before = None

    def set_model(self, model):
        """Attach to the trainer; called by `fit`."""
        if not isinstance(model, Trainer):
            raise TypeError(f"`GradientMonitor` must be given to a `Trainer`. Received: {model!r}")
        super().set_model(model)
        self._probe = model.border.batch(*self._probe)
        _check_probe(self._probe, model.tasks)

    def on_train_begin(self, logs=None):
        """Prepare the measurement."""
        layers = _gradient_health.trainable_layers(self.model.model)
        self.layers = list(layers)
        self._tasks = [task.name for task in self.model.tasks]
        self.every = self.every or max(MIN_EVERY, EVERY_PER_TASK * len(self._tasks))
        self._measure = _gradient_health.make_measure(self.model, layers)
        self._variables = list(itertools.chain(*layers.values()))
        self._writes = bool(layers) and self.model.distribute_strategy.extended.should_save_summary
        self._next, self._writer = None, None

    def on_epoch_begin(self, epoch, logs=None):
        """Forget the number of steps: other callbacks may restore the optimizer now."""
        self._step = None

    def on_train_batch_begin(self, batch, logs=None):
        """Keep the weights if the step is to be measured."""
        if self._step is None:
            self._step = self._updates()
        if self._next is None:
            self._start()
        self._first_of_batch = batch
        if self._writes and self._step >= self._next:
            self._before = [tf.identity(variable.value) for variable in self._variables]

    def on_train_batch_end(self, batch, logs=None):
        """Measure if it is time."""
        started = self._step
        self._step += batch - self._first_of_batch + 1  # without asking the device
        if self._before is not None:
            self._step = self._updates()
            health = self._measure(*self._probe, self._before)
            self._before = None
            health = _gradient_health.Health(*(tensor.numpy() for tensor in health))
            self._record(health)
            self._alert(health)
            self._next = (started // self.every + 1) * self.every

    def on_train_end(self, logs=None):
        """Draw the picture and close the TensorBoard file."""
        if self._writer is not None:
            self._writer.close()
            steps, *values = _read(self.directory / TABLE, self.layers, self._tasks)
            if steps:
                figure = plots.gradient_health(steps, *values, self.layers, self.model.tasks)
                figure.savefig(self.directory / PICTURE, dpi=150)

    def _updates(self):
        """Return the number of updates that the optimizer has made."""
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def _start(self):
        """Begin, or go on after the steps that were made before."""
        self._next = -(-self._step // self.every) * self.every
        if not self._step:
            self.alerts.clear()
        if self._writes:
            self.directory.mkdir(parents=True, exist_ok=True)
            _begin_table(self.directory / TABLE, self._step)
            self._writer = tf.summary.create_file_writer(str(self.directory))

    def _record(self, health):
        """Write a measurement to the table and to TensorBoard."""
        rows = [(self._step, *row) for row in _rows(health, self.layers, self._tasks)]
        with (self.directory / TABLE).open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        with self._writer.as_default(step=self._step):
            tf.summary.experimental.write_raw_pb(_summary(rows))
        self._writer.flush()

    def _alert(self, health):
        known = {alert[1:4] for alert in self.alerts}
        scaled = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)
        for kind, task, layer, message in _gradient_health.find(
            health, self._tasks, self.layers, *self.limits, overflow_is_handled=scaled
        ):
            if (kind, task, layer) not in known:
                self.alerts.append(_gradient_health.Alert(self._step, kind, task, layer, message))
                logging.warning("Step %d: %s", self._step, message)


def _first_batch(data):
    """Return inputs, labels and sample weights as tensors."""
    if isinstance(data, tf.data.Dataset):
        data = next(iter(data), None)
        if data is None:
            raise ValueError("A dataset must have at least one batch. Received: an empty dataset")
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise ValueError(
            "`data` must be a batch `(inputs, {task name: label})` or a `tf.data.Dataset` of such. "
            f"Received: {type(data).__name__}"
        )
    parts = keras.utils.unpack_x_y_sample_weight(data)
    return [None if part is None else tf.nest.map_structure(tf.convert_to_tensor, part) for part in parts]


def _check_probe(probe, tasks):
    _, labels, _ = probe
    without = [task.name for task in tasks if not float(task.labelled_fraction(task.labels_of(labels)))]
    if without:
        raise ValueError(
            "Every task must have a label in the probe; a larger batch may have one. "
            f"Received: none for {without}"
        )


def _rows(health, layers, tasks):
    """Yield the rows of a measurement without the step."""
    for (layer, task), norm in np.ndenumerate(health.norms):
        if health.reached[layer, task]:
            yield NORM, layers[layer], tasks[task], "", f"{norm:.7g}"
    for layer, ratio in zip(layers, health.ratios, strict=True):
        yield RATIO, layer, "", "", f"{ratio:.7g}"
    for one, other in itertools.combinations(range(len(tasks)), 2):
        if np.isfinite(health.cosines[one, other]):
            yield COSINE, "", tasks[one], tasks[other], f"{health.cosines[one, other]:.7g}"


def _summary(rows):
    """Return the scalars of a measurement in TensorBoard's format: one write costs less than hundreds."""
    values = [("/".join(filter(None, names)), float(value)) for _, *names, value in rows]
    scalar = tf.compat.v1.Summary.Value
    return tf.compat.v1.Summary(value=[scalar(tag=t, simple_value=v) for t, v in values]).SerializeToString()


def _begin_table(path, step):
    """Write the header, and the complete lines of an earlier table that are not after `step`."""
    lines = path.read_text().splitlines(keepends=True)[1:] if step and path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and int(line.split(",")[0]) <= step]
    path.write_text(",".join(COLUMNS) + "\n" + "".join(kept))


def _read(path, layers, tasks):
    """Return the steps of a table, and its norms, ratios and cosines with NaN where there is nothing."""
    with path.open(newline="") as file:
        known = {"layer": {*layers, ""}, "task": {*tasks, ""}, "other_task": {*tasks, ""}}
        rows = [row for row in csv.DictReader(file) if all(row[key] in known[key] for key in known)]
    steps = sorted({int(row["step"]) for row in rows})
    step, layer, task = ({name: i for i, name in enumerate(names)} for names in (steps, layers, tasks))
    norms = np.full((len(steps), len(layers), len(tasks)), np.nan)
    ratios = np.full(norms.shape[:2], np.nan)
    cosines = np.full((len(steps), len(tasks), len(tasks)), np.nan)
    for row in rows:
        index, value = step[int(row["step"])], float(row["value"])
        if row["quantity"] == NORM:
            norms[index, layer[row["layer"]], task[row["task"]]] = value
        elif row["quantity"] == RATIO:
            ratios[index, layer[row["layer"]]] = value
        else:
            one, other = task[row["task"]], task[row["other_task"]]
            cosines[index, [one, other], [other, one]] = value
    return steps, norms, ratios, cosines
