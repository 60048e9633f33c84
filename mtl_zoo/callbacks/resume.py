"""Training that goes on where it was interrupted."""

import contextlib
import pathlib
import sys

import keras
import numpy as np

from mtl_zoo import arguments, files
from mtl_zoo.callbacks import _position, checkpoints
from mtl_zoo.callbacks.stop import Stop

RESUMED_ATTRIBUTES = {
    keras.callbacks.History: ("epoch", "history"),
    keras.callbacks.EarlyStopping: ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
}

STATE = {
    **dict.fromkeys(("epoch", "batch", "first_epoch"), files.COUNT),
    "recipe": files.Kind("an object or null", lambda x: x is None or isinstance(x, dict)),
    "variables": files.Kind("a list of arrays", lambda x: files.is_list(x, np.ndarray)),
    "callbacks": files.Kind("pairs of name and attributes", lambda x: _are_pairs(x)),
}


class Resume(keras.callbacks.Callback):
    """Saves a training so that the same program, run again after any interruption, goes on where it was.

    The weights at the end are those of a training without interruption, bit for bit, on the same device with
    the same versions. A checkpoint holds all variables of model, optimizer (learning rate included),
    balancer, aggregator and metrics, the states of random generators, the place in the data, the history,
    and the state of the callbacks `EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint`; of other
    callbacks the attributes that their class names in a tuple `resumed_attributes`. Callbacks are not called
    for steps that were made before.

    Files appear when they are complete and carry a checksum. The last two are kept: a damaged one is left out
    with a warning. If a file cannot be written, training stops with the `OSError`, and those before stay.

    SIGINT and SIGTERM let the running step (or validation) finish; its result is saved, and `fit` raises
    `KeyboardInterrupt` or `SystemExit(143)`. A second signal acts at once.

    Of several workers the chief writes and all read, from a directory that all of them see; each is to get
    the signal. What workers do not share afterwards is the chief's: statistics of batch normalization. The
    last digit of the metrics of the interrupted epoch may differ with several replicas.

    Args:
        directory: Directory of the checkpoints, of one training alone.
        every: `"epoch"`, to save at the end of every epoch, or a number of steps. Defaults to `"epoch"`.
        recipe: Dictionary, as JSON holds it, of what training must not go on without: an interrupted one
            with another recipe is refused. Defaults to `None`.
        delete_checkpoint: Whether to remove the checkpoints when training has ended, so that the next `fit`
            starts from the beginning. Without, it returns at once, with the state at the end; `clear`
            removes them. Defaults to `True`.

    Raises:
        ValueError: If `every` is something else; in `fit`, if the interrupted training was another one, or
            the order of the data cannot be repeated.
        TypeError: In `fit`, if it is not that of a `Trainer`, or callbacks are not given as a list.
        OSError: In `fit`, if the directory cannot be written.

    Note:
        The order of the data must follow from seeds: those of `shuffle`, or the global one of
        `keras.utils.set_random_seed`, the same each time. To find the place, what was read of the running
        epoch is read again, and of each epoch before one batch; or all of it, if there is more in the
        pipeline than reading, shuffling, mapping and batching. Validation data must keep one order. Random
        operations of TensorFlow inside a model (`tf.random.uniform`) have a state that nothing can save: use
        `keras.random` with a `SeedGenerator`, as the layers of Keras do. On a GPU, call
        `tf.config.experimental.enable_op_determinism` first.

    Example:

    >>> import tempfile
    >>> tasks = [mz.Task.binary("click"), mz.Task.regression("price")]
    >>> model = mz.architectures.hard_sharing(keras.Input((8,)), tasks, mz.encoders.mlp(16))
    >>> trainer = mz.Trainer(model, tasks)
    >>> trainer.compile("adam")
    >>> labels = {"click": np.array([0, 1]), "price": np.array([3.5, np.nan])}
    >>> resume = Resume(tempfile.mkdtemp() + "/backup", every=100)
    >>> len(trainer.fit(np.ones((2, 8)), labels, epochs=3, callbacks=[resume], verbose=0).epoch)
    3
    """

    def __init__(self, directory, every="epoch", recipe=None, delete_checkpoint=True):
        super().__init__()
        steps = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if not isinstance(every, (str, int)) or (every != "epoch" and not steps):
            raise ValueError(f"`every` must be 'epoch' or a positive integer. Received: every={every!r}")
        self.directory = pathlib.Path(arguments.path("directory", directory))
        self.every = every
        self.recipe = recipe if recipe is None else arguments.mapping("recipe", recipe)
        self.delete_checkpoint = arguments.flag("delete_checkpoint", delete_checkpoint)
        self._callbacks = None

    def clear(self):
        """Remove the checkpoints."""
        checkpoints.clear(self.directory)

    def clear_other(self):
        """Remove the checkpoints if they are those of another recipe."""
        found = checkpoints.read(self.directory, STATE)
        if found and self._changes(found[1]):
            self.clear()

    @contextlib.contextmanager
    def session(self, callbacks):
        """Put this callback before all others, and signals off; called around `fit` by `Trainer`.

        A checkpoint is made between two steps, when all callbacks have seen the one and none the other: in
        the hooks `on_..._begin`, before theirs.

        Args:
            callbacks: List of callbacks with this one, which is changed.
        """
        callbacks.remove(self)
        self._callbacks = list(callbacks)
        callbacks.insert(0, self)
        with files.reserved(self.directory), Stop() as self._stop:
            try:
                yield
            finally:
                self._callbacks = self._interrupted = None
                if self.model is not None:
                    self.model._initial_epoch = None

    def on_train_begin(self, logs=None):
        """Read the newest checkpoint, if there is one, and go to its place."""
        if self._callbacks is None:
            raise TypeError(
                "`Resume` must be given to `mtl_zoo.Trainer.fit` in a list of callbacks. "
                f"Received a {type(self.model).__name__}, or a `CallbackList`."
            )
        data = self.model.epoch_iterator()
        _position.check_repeatable(data)
        self._first_epoch, self._unsaved = None, 0
        self._newest, self._interrupted = checkpoints.read(self.directory, STATE) or (None, None)
        if self._interrupted is not None:
            changes = self._changes(self._interrupted)
            if changes:
                raise self._other(*map(", ".join, zip(*changes, strict=True)))
            epoch, batch = self._interrupted["epoch"], self._interrupted["batch"]
            self._say_where(epoch, batch)
            self._first_epoch = self._interrupted["first_epoch"]
            self.model._initial_epoch = epoch
            _position.forward(data, epoch - self._first_epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        """Restore the interrupted training, or save."""
        self._epoch, self._batch = epoch, 0
        if self._first_epoch is None:
            self._first_epoch = epoch
        if self._interrupted is not None:
            self._batch = self._interrupted["batch"]
            self._restore()
            if not self._batch:  # saved at the end of a training, whose metrics were not reset
                self.model.reset_metrics()
        self._between_steps(due=self.every == "epoch")

    def on_train_batch_begin(self, batch, logs=None):
        """Save, if it is time."""
        self._batch = batch
        self._between_steps(due=False)

    def on_train_batch_end(self, batch, logs=None):
        """Count the steps."""
        self._unsaved += batch + 1 - self._batch

    def on_train_end(self, logs=None):
        """Remove the checkpoints, or save the end."""
        ended_before = self._interrupted is not None
        if ended_before:
            self._restore()
        elif self._stop.signum is not None or not self.delete_checkpoint:
            self._save(self.params["epochs"], 0)
        if self._stop.signum is not None:
            self._leave("at its end")
        if self.delete_checkpoint and self._is_chief():
            self.clear()

    def _between_steps(self, due):
        due = due or (self.every != "epoch" and self._unsaved >= self.every)
        if self._unsaved and (due or self._stop.signum is not None):
            self._save(self._epoch, self._batch)
        if self._stop.signum is not None:
            step = f"step {self._batch} of epoch {self._epoch + 1}"
            self._leave(f"after {step if self._batch else f'epoch {self._epoch}'}")

    def _leave(self, place):
        self._stop.leave(
            f"Training was interrupted {place} and is saved in '{self.directory}'. "
            "Run the same command again to go on."
        )

    def _save(self, epoch, batch):
        """Write a checkpoint. All workers gather the state, since some of it is spread over them."""
        state = {
            "epoch": epoch,
            "batch": batch,
            "first_epoch": self._first_epoch or 0,
            "recipe": self.recipe,
            "variables": [keras.ops.convert_to_numpy(variable) for variable in self._variables()],
            "callbacks": [
                [type(callback).__name__, {name: getattr(callback, name) for name in names}]
                for callback, names in self._remembering()
            ],
        }
        if self._is_chief():
            self._newest = checkpoints.write(self.directory, state, self._newest)
        self._unsaved = 0

    def _restore(self):
        state, self._interrupted = self._interrupted, None
        variables, callbacks = self._variables(), self._remembering()
        names = [type(callback).__name__ for callback, _ in callbacks]
        if [name for name, _ in state["callbacks"]] != names:
            raise self._other(f"the callbacks {[name for name, _ in state['callbacks']]}", names)
        shapes, saved = ([tuple(x.shape) for x in found] for found in (variables, state["variables"]))
        if shapes != saved:
            raise self._other(f"variables of the shapes {saved}", shapes)
        for variable, value in zip(variables, state["variables"], strict=True):
            variable.assign(value)
        for (callback, names), (_, values) in zip(callbacks, state["callbacks"], strict=True):
            for name in values.keys() & set(names):
                setattr(callback, name, values[name])

    def _variables(self):
        metrics = [variable for metric in self.model.metrics for variable in metric.variables]
        optimizers = [variable for optimizer in self.model.optimizers for variable in optimizer.variables]
        found = [*self.model.variables, *metrics, *optimizers]
        return list({id(variable): variable for variable in found}.values())

    def _remembering(self):
        """Return the callbacks with a state to save, and the names of the attributes that are it."""
        found = []
        for callback in dict.fromkeys([*self._callbacks, self.model.history]):
            names = getattr(callback, "resumed_attributes", ())
            for kind, known in RESUMED_ATTRIBUTES.items():
                names += known if isinstance(callback, kind) else ()
            if names:
                found.append((callback, names))
        return found

    def _changes(self, state):
        """Return pairs of what differs in the recipes, as text."""
        saved, given = state["recipe"] or {}, checkpoints.as_read(self.recipe) or {}
        keys = [key for key in {**saved, **given} if saved.get(key) != given.get(key)]
        return [(f"{key}={saved.get(key)!r}", f"{key}={given.get(key)!r}") for key in keys]

    def _other(self, saved, given):
        return ValueError(
            f"The training interrupted in '{self.directory}' must go on with {saved}; remove that directory "
            f"to start a new one. Received: {given}"
        )

    def _say_where(self, epoch, batch):
        place = "was over" if epoch >= self.params["epochs"] else f"goes on in epoch {epoch + 1}"
        place += f", after step {batch}" if batch else ""
        print(f"Training {place}, as saved in '{self.directory}'.", file=sys.stderr, flush=True)

    def _is_chief(self):
        return self.model.distribute_strategy.extended.should_checkpoint


def _are_pairs(x):
    return files.is_list(x, list) and all(list(map(type, pair)) == [str, dict] for pair in x)
