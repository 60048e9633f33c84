"""A Keras model that stands for another one: what Keras' own loops, files and pictures ask of it."""

import weakref

import keras
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.training import distribution, packing, presence, resetting
from mtl_zoo.training.unmeasured import warn

FORMATS = ("tf_saved_model", "litert", "onnx")


class Wrapper(keras.Model):
    """A model around another one, `model`, whose optimizers are its own.

    It needs the attributes `tasks` and `logs`, a `Logs`, to train and to export.

    Args:
        model: Built `keras.Model`.

    Raises:
        RuntimeError: If the backend of Keras is not TensorFlow.

    Example:

    >>> x = keras.Input((8,), name="x")
    >>> Wrapper(keras.Model(x, keras.layers.Dense(2)(x), name="inner")).summary(print_fn=print)
    Model: "inner"
    ...
    """

    def __init__(self, model, **kwargs):
        check_backend()
        super().__init__(**kwargs)
        self.model = model
        self.balancer_optimizer = None
        self.resetter = None
        self.warned = []
        self.prepare_epochs = None

    @property
    def trainable_weights(self):
        """What the compiled optimizer trains: the model's; Keras finalizes them after `fit`."""
        return self.model.trainable_weights

    @property
    def optimizers(self):
        """All optimizers: the one that was compiled and, where the balancer learns, the balancer's own."""
        return [optimizer for optimizer in (self.optimizer, self.balancer_optimizer) if optimizer is not None]

    @property
    def metrics(self):
        """All metrics, reset at the start of every epoch."""
        return self.logs.metrics

    @property
    def metrics_names(self):
        """Names of what `evaluate`, `train_on_batch` and `test_on_batch` return."""
        return self.logs.names

    def summary(
        self,
        line_length=None,
        positions=None,
        print_fn=None,
        expand_nested=False,
        show_trainable=False,
        layer_range=None,
    ):
        """Print a summary of the wrapped model; as `keras.Model.summary`."""
        self.model.summary(line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def save(self, filepath, overwrite=True, **kwargs):
        """Save the wrapped model; as `keras.Model.save`."""
        self.model.save(filepath, overwrite=overwrite, **kwargs)

    def export(self, filepath, format="tf_saved_model", **options):
        """Export the wrapped model, whose predictions have their activations applied.

        Args:
            filepath: Path to write, where nothing is.
            format: `"tf_saved_model"` for `mtl_zoo.exporting.saved_model`, `"litert"` or `"onnx"` for the
                functions of these names. Defaults to `"tf_saved_model"`.
            options: Other arguments of that function.

        Raises:
            ValueError: If there is no such format, or as that function.
        """
        from mtl_zoo import exporting  # which is built on this

        arguments.option("format", format, FORMATS)
        name = "saved_model" if format == "tf_saved_model" else format
        getattr(exporting, name)(self.model, self.tasks, filepath, **options)

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Load what `save_weights` saved; as `keras.Model.load_weights`.

        Raises:
            ValueError: If the file is not that of such a trainer; one of the wrapped model alone, for
                instance.
        """
        try:
            super().load_weights(filepath, skip_mismatch, **kwargs)
        except ValueError as error:
            raise ValueError(
                "The file must hold weights of a trainer like this, with its balancer, aggregator and "
                f"optimizer; `trainer.model.load_weights` loads those of a model alone. Received: {filepath}"
            ) from error

    def save_own_variables(self, store):
        """Save the states of all random generators, which Keras leaves out."""
        for index, state in enumerate(self._random_states()):
            store[str(index)] = state

    def load_own_variables(self, store):
        """Load what `save_own_variables` saved."""
        for index, state in enumerate(self._random_states()):
            state.assign(store[str(index)])

    def reset_metrics(self):
        """Reset all metrics, as `resetting.Resetter` does it."""
        if self.resetter is None:
            self.resetter = resetting.Resetter(self.metrics, self.distribute_strategy)
        self.resetter()

    def _get_metrics_result_or_logs(self, logs):
        """Return the logs of an epoch, over all replicas."""
        if logs:
            warn(self, self.logs.without_label())
            presence.warn(self, self.logs.labels.warnings())
            if self.distribute_strategy.num_replicas_in_sync == 1:
                return logs  # of the last step, which saw all there is
        found = {**self.logs.measured(), **self.logs.of_training()}
        return {name: found[name] for name in logs or found}  # none if `Resume` had all behind

    def _flatten_metrics_in_order(self, logs):
        """Return a list of the logs in the order of `metrics_names`."""
        return [logs[name] for name in self.metrics_names]

    def _random_states(self):
        saved = {id(variable) for variable in self.weights}
        return [variable for variable in self.variables if id(variable) not in saved]

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Build nothing: all is built. Keras' version fails under `MultiWorkerMirroredStrategy`."""
        if iterator is not None:
            prepare, self.prepare_epochs = self.prepare_epochs, None
            if prepare is not None:
                prepare(iterator)
            self.epoch_iterator = weakref.ref(iterator)  # for `Resume`, which needs the place in the data

    def _make_function(self, step_function):
        """As Keras, whose reduction over several workers needs logs with an axis; of one device, packed."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            packed = packing.Packed(step_function)
            function = super()._make_function(packed)
            return lambda iterator: packed.unpacked(function(iterator))
        if not distribution.has_workers(self.distribute_strategy):
            return super()._make_function(step_function)

        def with_axis(data):
            return tf.nest.map_structure(lambda x: tf.reshape(x, (1,)), step_function(data))

        return super()._make_function(with_axis)


def check_backend():
    """Raise an error unless Keras computes with TensorFlow.

    Raises:
        RuntimeError: If it does not.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            "`mz.Trainer` needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported; "
            f"layers, balancers and aggregators run on any backend. Received: {backend}"
        )
