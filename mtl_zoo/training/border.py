"""The border that all data cross on their way to a model: one check for every way in."""

import ast
import contextlib
import re
import types

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from mtl_zoo import outputs
from mtl_zoo.spaces import with_spaces
from mtl_zoo.training import frames, inputs, labels

FOUND = "faults in data: "
ARRAYS = (np.ndarray, tf.Tensor, tf.RaggedTensor, tf.SparseTensor, dict, list, tuple)


class InvalidData(ValueError):
    """Error of one line about data, known by its name when it comes out of another thread or process."""


class Border:
    """Checks inputs, labels and sample weights, alike in arrays, datasets, generators and single batches.

    What passes is in the structure that the model takes, without inputs and labels that it has no use for;
    a warning names such inputs once. Arrays are checked at once, everything else batch by batch as it is
    read; for a `tf.data.Dataset`, by one assertion for all that may be wrong, in the dataset or in the step.

    Args:
        tasks: Sequence of `Task`.
        model: Functional `keras.Model` that gets the inputs. Defaults to `None`: inputs are not looked at.

    Example:

    >>> border = Border([mz.Task.binary("click")])
    >>> border.admit(np.ones((2, 8)), {"click": np.array([0, 2])})
    Traceback (most recent call last):
    mtl_zoo.training.border.InvalidData: Labels of task 'click' must be at most 1, or missing (below 0 ...
    """

    def __init__(self, tasks, model=None):
        self.tasks = with_spaces(tasks)
        graph = None if model is None else outputs.graph_of(model)
        self.slots = None if graph is None else inputs.slots(graph)
        self.order = [] if graph is None else outputs.label_names(graph, self.tasks)
        self._left_out = set()
        self._ragged = []

    def admit(self, x, y=None, sample_weight=None, in_step=False):
        """Return data as `fit` takes them, checked now or when they are read.

        Args:
            x: Inputs; or a `tf.data.Dataset`, `keras.utils.PyDataset` or generator of `(inputs, labels)` or
                `(inputs, labels, sample weights)`. A distributed dataset, and what else Keras can read, is
                returned unchecked.
            y: Dict of label arrays by `task.label_name`, if `x` are inputs.
            sample_weight: Array for all tasks or dict of such, if `x` are inputs.
            in_step: Whether the step checks the batches of a `tf.data.Dataset`, by `checked`, which is
                returned as it is then. Defaults to `False`.

        Returns:
            Tuple `(x, y, sample_weight)`.

        Raises:
            ValueError: If a task has no labels; labels, weights or inputs are not what they must be; or there
                is no example.
        """
        if isinstance(x, tf.data.Dataset):
            return self._dataset(x, in_step), y, sample_weight
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedPyDataset(x, self), y, sample_weight
        if isinstance(x, types.GeneratorType):
            return self._generator(x), y, sample_weight
        if y is None and not isinstance(x, ARRAYS):
            return x, y, sample_weight
        x, y, sample_weight = self.batch(x, y, sample_weight)
        return x, y, labels.of_every_label(sample_weight, y)

    def batch(self, x, y, sample_weight=None):
        """Return inputs, labels and sample weights of one batch, checked.

        Args:
            x: Inputs.
            y: Dict of labels by `task.label_name`.
            sample_weight: Weights for all tasks, a dict of such, or `None`.

        Raises:
            ValueError: As `admit`.
        """
        with _as_invalid_data():
            rest = frames.without_frames((frames.by_column(y), frames.by_column(sample_weight)))
            x, y, sample_weight = self._chosen(self.without_frames(x), *rest)
            x = keras.tree.map_structure(_without_text, x)
            labels.check_sizes((x, y, sample_weight))
            _raise(self._faults(x, y, sample_weight))
        return x, y, sample_weight

    def without_frames(self, x):
        """Return inputs in which tables of pandas are arrays."""
        return frames.inputs(x, self.slots)

    def admit_inputs(self, x):
        """Return inputs in the structure that the model takes, and say once which it does not take."""
        if self.slots is None:
            return x
        new = set(inputs.unknown(self.slots, x)) - self._left_out
        if new:
            self._left_out |= new
            logging.warning("The model has no inputs %s; they are left out.", sorted(new))
        return inputs.matched(self.slots, x)

    @contextlib.contextmanager
    def readable_errors(self):
        """Turn errors out of the depth of TensorFlow, where data are their cause, into one clear line."""
        try:
            yield
        except tf.errors.OpError as error:
            line = _line(error.message)
            if line is None:
                raise
            raise InvalidData(line) from None
        except (TypeError, ValueError) as error:
            if isinstance(error, InvalidData) or not self._ragged:
                raise
            raise InvalidData(
                f"Ragged inputs must be something that every layer takes; pad {self._ragged} by "
                f"`.to_tensor()`. Received: a layer that raised {type(error).__name__}"
            ) from error
        finally:
            self._ragged = []

    def _chosen(self, x, y, sample_weight):
        """Return what is of use in a batch of arrays, tensors or specs, if all but the values is right."""
        x, y, sample_weight = self.admit_inputs(x), self._by_name(y), self._by_name(sample_weight)
        for slot, value in self._placed(x):
            labels.known_shape(f"Input '{slot.name}'", value)
            if isinstance(value, (tf.RaggedTensor, tf.RaggedTensorSpec)):
                self._ragged = sorted({*self._ragged, slot.name})
        if hasattr(y, "shape") and len(self.tasks) == 1:
            y = {self.tasks[0].label_name: y}
        weights = labels.chosen_weights(sample_weight, y, self.tasks) if isinstance(y, dict) else None
        y = labels.chosen(y, self.tasks)
        labels.check_sizes((y, weights))
        return x, y, weights

    def _by_name(self, values):
        """Return labels or weights in a dict, if they are a list of one for every output of the model."""
        if isinstance(values, (list, tuple)) and len(values) == len(self.order):
            pairs = zip(self.order, values, strict=True)
            return {name: value for name, value in pairs if name is not None and value is not None}
        return values

    def _placed(self, x):
        """Return pairs of a slot and the array or tensor for it."""
        if self.slots is None:
            return []
        pairs = zip(*map(keras.tree.flatten, (self.slots, x)), strict=True)
        return [(slot, value) for slot, value in pairs if hasattr(value, "shape")]

    def _faults(self, x, y, weights):
        """Return what may be wrong with the values of a batch, as `labels.faults` does."""
        found = labels.faults(y, weights, self.tasks)
        for slot, value in self._placed(x):
            if slot.max_length is not None and isinstance(value, (np.ndarray, tf.Tensor)):
                message = (
                    f"Input '{slot.name}' must have at most {slot.max_length} positions, the `max_length` of "
                    f"layer '{slot.limited_by}'. Received: %d"
                )
                found.append((message, _excessive(value, slot.max_length)))
        return found

    def _dataset(self, dataset, in_step):
        """Return a dataset that fails at the first batch with a fault, or itself if the step does."""
        if dataset.cardinality() == 0:
            raise InvalidData("A dataset must have at least one batch. Received: an empty dataset")
        spec = dataset.element_spec
        if not isinstance(spec, tuple) or len(spec) not in (2, 3):
            raise InvalidData(f"A dataset must yield `(inputs, {{task name: label}})`. Received: {spec}")
        with _as_invalid_data():
            self._chosen(*keras.utils.unpack_x_y_sample_weight(spec))
        if in_step:
            return dataset

        @tf.autograph.experimental.do_not_convert
        def check(*batch):
            return self.checked(batch)

        return dataset.map(check, name="check_labels").prefetch(1)

    def checked(self, batch):
        """Return what is of use in a batch of tensors, which nothing can use if a value in it is wrong.

        Args:
            batch: `(inputs, labels)` or `(inputs, labels, sample weights)`, as `fit` takes them.
        """
        x, y, weights = self._chosen(*keras.utils.unpack_x_y_sample_weight(batch))
        batch = (x, y) if weights is None else (x, y, weights)
        return _asserted(batch, self._faults(x, y, weights))

    def _generator(self, batches):
        for batch in batches:
            yield self.packed(batch)

    def packed(self, batch):
        """Return a batch as a generator yields it, checked."""
        return keras.utils.pack_x_y_sample_weight(*self.batch(*keras.utils.unpack_x_y_sample_weight(batch)))


class _CheckedPyDataset(keras.utils.PyDataset):
    """Reads the batches of another one and lets them pass a border."""

    def __init__(self, dataset, border):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.border = border

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __getitem__(self, index):
        return self.border.packed(self.dataset[index])

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


@contextlib.contextmanager
def _as_invalid_data():
    try:
        yield
    except ValueError as error:
        raise InvalidData(str(error)) from None


def _line(message):
    """Return the one line that tells what is wrong in data, out of an error of TensorFlow; `None` if none."""
    raised = re.search(rf"\b{InvalidData.__name__}: (.*)", message)
    if raised:
        return raised.group(1)
    asserted = re.search(rf"\[{FOUND}(.*?)\] \[([\d ]+)\]", message, re.DOTALL)
    if asserted:
        lines = ast.literal_eval(f"b'{asserted.group(1)}'").decode().split("\n")  # TensorFlow escaped them
        pairs = zip(lines, map(int, asserted.group(2).split()), strict=True)
        return next(line % number for line, number in pairs if number)
    shapes = re.search(r"MaybeMoveContiguousSlices .*shape: (\[.*?\]), dst shape: (\[.*?\])", message)
    if shapes:
        return (
            "Batches that `accumulate` joins must have one shape but for the first axis; pad all to one "
            f"length. Received: shapes {shapes.group(1)} and {shapes.group(2)}"
        )
    return None


def _without_text(values):
    """Return a NumPy array of strings as a tensor, since Keras takes no such array."""
    is_text = isinstance(values, np.ndarray) and values.dtype.kind in "USO"
    return tf.constant(values) if is_text else values


def _excessive(values, limit):
    """Return the number of positions if they are more than a limit, else 0."""
    length = values.shape[1]
    if length is None:
        length = tf.shape(values)[1]
        return tf.where(length > limit, length, 0)
    return length if length > limit else 0


def _raise(faults):
    """Raise an error for the first of some faults that was found."""
    for message, number in faults:
        if number:
            raise InvalidData(message % number)


def _asserted(batch, faults):
    """Return a batch after one assertion; one for each fault would cost more than the losses."""
    if tf.executing_eagerly():
        _raise(faults)
        return batch
    if not faults:
        return batch
    messages, numbers = zip(*faults, strict=True)
    counts = tf.stack(numbers)
    data = [FOUND + "\n".join(messages), counts]
    with tf.control_dependencies(
        [tf.debugging.Assert(tf.reduce_all(counts == 0), data, summarize=len(numbers))]
    ):
        return tf.nest.map_structure(tf.identity, batch, expand_composites=True)
