"""A wrapped model all of whose data cross a border on their way in."""

import keras
import tensorflow as tf

from mtl_zoo import outputs
from mtl_zoo.training import balanced, distribution, meta_batches, trainer_config
from mtl_zoo.training.wrapper import Wrapper


class Guarded(Wrapper):
    """A wrapper whose `evaluate`, `predict` and single batches take what its border admits.

    It needs the attributes `border`, a `Border`, `problem`, a `Problem`, `class_weights`, `Balanced`, and
    `accumulate` besides those of a wrapper, `logs` among them.

    Args:
        model: Built `keras.Model`.
    """

    def evaluate(self, x=None, y=None, batch_size=None, sample_weight=None, return_dict=False, **kwargs):
        """Evaluate; as `keras.Model.evaluate`: return the logs, or a list in the order of `metrics_names`."""
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, which admitted it
            x, y, sample_weight = self.border.admit(x, y, sample_weight, self._checks_in_step)
            x = self._spread(x)
        self.class_weights.check()
        kwargs |= {"batch_size": batch_size, "sample_weight": sample_weight, "return_dict": True}
        with self.distribute_strategy.scope(), self.border.readable_errors():
            found = super().evaluate(x, y, **kwargs)
        # Keras before 3.12 leaves tensors.
        found = {name: x if keras.ops.ndim(x) else float(x) for name, x in found.items()}
        return found if return_dict else self._flatten_metrics_in_order(found)

    def test_step(self, data):
        """Measure one batch and return the logs; called by `evaluate`. Leaves the state of methods alone."""
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self.logs.add_batch(self.problem, x, labels, self.problem.model(x, training=False), sample_weight)
        return self.logs.measured()

    def items(self, labels, logits, sample_weight=None):
        """Return what `Task.items` returns, for every task; as `Problem.items`."""
        return self.problem.items(labels, logits, sample_weight)

    def weight_of(self, task, sample_weight):
        """Return the sample weight of one task; as `Problem.weight_of`."""
        return self.problem.weight_of(task, sample_weight)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Return predictions, arrays in the structure of the model's outputs; as `keras.Model.predict`."""
        return super().predict(self.border.without_frames(x), batch_size, verbose, steps, callbacks)

    def predict_step(self, data):
        """Return the predictions for one batch; called by `predict`."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return outputs.predictions(self.model, self.problem.tasks, self(x, training=False))

    def predict_logits(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Return the logits for inputs, arrays in a dict by task name; arguments as those of `predict`."""
        if isinstance(x, tf.data.Dataset):
            x = x.map(lambda x, *_: self.border.admit_inputs(x))
        else:
            x = self.border.admit_inputs(self.border.without_frames(x))
        found = self.problem.model.predict(x, batch_size, verbose, steps, callbacks)
        return {task.name: found[task.name] for task in self.problem.tasks}

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Make one update; as `keras.Model.train_on_batch`, with the checks of `fit`."""
        balanced.refuse(class_weight)
        meta_batches.refuse_without(self.balancer, "`train_on_batch`")
        self.class_weights.check()
        x, y, sample_weight = self.border.batch(x, y, sample_weight)
        with self.border.readable_errors():
            return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Measure one batch; as `keras.Model.test_on_batch`, with the checks of `evaluate`."""
        self.class_weights.check()
        x, y, sample_weight = self.border.batch(x, y, sample_weight)
        with self.border.readable_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def call(self, inputs, training=None):
        """Return the model's outputs, a dict of logits; inputs in a dict may be more than the model takes."""
        return self.model(self.border.admit_inputs(inputs), training=training)

    def get_compile_config(self):
        """Return the arguments of `compile`, for Keras to save."""
        return trainer_config.of_compile(self)

    def compile_from_config(self, config):
        """Compile as `get_compile_config` described."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def jit_compile(self):
        """Whether steps are compiled with XLA; functions of steps are made anew when that is set."""
        return super().jit_compile

    @jit_compile.setter
    def jit_compile(self, value):
        keras.Model.jit_compile.fset(self, value)
        self.train_function = self.test_function = None

    @property
    def _checks_in_step(self):
        """Whether steps check batches, which costs less than another function in a dataset.

        XLA cannot, and what joins, pairs, divides or counts batches before the step wants them checked.
        """
        as_they_are = self.accumulate == 1 and not self.class_weights.wanting and not self.problem.ahead
        one_device = self.distribute_strategy.num_replicas_in_sync == 1
        return as_they_are and one_device and not self.jit_compile

    def _make_function(self, step_function):
        if not self._checks_in_step:
            return super()._make_function(step_function)
        return super()._make_function(lambda data: step_function(self.border.checked(data)))

    def _admitted(self, data):
        """Return validation data as Keras takes them, checked; `None` if there are none."""
        if data is None:
            return None
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x, *rest = self.border.admit(x, y, sample_weight, self._checks_in_step)
        return (self._spread(x), *rest)

    def _spread(self, x):
        return distribution.spread(x, self.distribute_strategy)
