"""What a model is asked to do: the one description that dataset, model, trainer and exporter share."""

import dataclasses
import functools
from collections.abc import Callable

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.items import comparable, expand_to, flat, is_missing, smallest, to_numbers
from mtl_zoo.metric_names import named_metrics
from mtl_zoo.validation import check_fields, check_name


@dataclasses.dataclass(frozen=True)
class Task:
    """One thing a model predicts: its output, loss, metrics and activation, and which labels are missing.

    The model outputs logits; the loss takes logits, `activation` turns them into predictions, and metrics
    take predictions. Labels may be missing for any item (an example, a pixel, a token or a single value of
    a vector): class labels below 0 and NaN never reach the loss or a metric, and the loss is the mean over
    the labelled items.

    Prefer a constructor such as `Task.classification`; adjust one with `dataclasses.replace`.

    Args:
        name: Name of the task: the model's output, the labels' key, and the prefix in the logs. English
            letters, digits and underscores; `mtl_zoo.validation.check_name` lists the names that are taken.
        output_shape: Shape of the model's output for one example, for instance `(10,)` or `(None, None, 3)`.
        label_shape: Shape of one example's label. One axis shorter than `output_shape` where labels are
            class indices.
        item_size: Length of the last axis of one item's output. An item is what has one loss: class logits
            of an example, pixel or token; a single value of a regression; all channels of a pixel.
        loss: Function `(labels, logits) -> losses` on a batch of items, without reduction.
        activation: Function that turns logits into predictions.
        metrics: Functions without arguments that each return a fresh `keras.metrics.Metric`, so that two
            trainers never share state. A metric gets what it gets in plain Keras: arrays in the task's shape,
            of class indices or one-hot labels, whichever it takes, and weights 0 where a label is missing
            (see `task_metrics.TaskMetrics`). Of two with one name, the second becomes `auc_1`.
        max_label: Largest valid label, which all are whole numbers then, or `None` where any finite number is
            one (probabilities as labels of a binary task, for instance).
        missing: Function that returns where labels are absent. Defaults to NaN alone, since a number of a
            regression may be negative.
        label_name: Key of the task's labels. Defaults to the name. A copy with another name keeps it, so that
            several outputs can learn from one label.

    Example:

    >>> task = Task.classification("digit", 10)
    >>> logits = ops.zeros((3, 10))
    >>> float(task.compute_loss([7, -1, 2], logits))  # log(10), over the two labelled examples
    2.30258...
    """

    name: str
    output_shape: tuple[int | None, ...]
    label_shape: tuple[int | None, ...]
    item_size: int
    loss: Callable = dataclasses.field(repr=False)
    activation: Callable = dataclasses.field(repr=False)
    metrics: tuple[Callable, ...] = dataclasses.field(default=(), repr=False)
    max_label: int | None = None
    missing: Callable = dataclasses.field(default=ops.isnan, repr=False)
    label_name: str = dataclasses.field(default="", repr=False)

    def __post_init__(self):
        check_name(self.name)
        object.__setattr__(self, "label_name", self.label_name or self.name)
        if arguments.integer("item_size", self.item_size, most=arguments.ENTRIES) < 1:
            shape = self.output_shape
            raise ValueError(
                f"Task '{self.name}' must have at least one output. Received: output_shape={shape}"
            )
        check_fields(self)

    @classmethod
    def classification(cls, name, num_classes):
        """One class of `num_classes` per example; labels `[batch]`, logits `[batch, num_classes]`."""
        accuracy = functools.partial(keras.metrics.SparseCategoricalAccuracy, name="accuracy")
        num_classes = arguments.integer("num_classes", num_classes, most=arguments.ENTRIES)
        return _index_task(cls, name, (), num_classes, (accuracy,))

    @classmethod
    def binary(cls, name):
        """Yes or no; labels `[batch]` or `[batch, 1]` of 0 and 1, logits `[batch, 1]`."""
        return _sigmoid_task(cls, name, 1)

    @classmethod
    def multilabel(cls, name, n):
        """`n` independent yes-or-no labels; labels and logits `[batch, n]`; each may be missing alone."""
        return _sigmoid_task(cls, name, arguments.integer("n", n, 1, most=arguments.ENTRIES))

    @classmethod
    def regression(cls, name, units=1):
        """`units` numbers by squared error; labels and outputs `[batch, units]` (`[batch]` for one unit)."""
        units = arguments.integer("units", units, 1, most=arguments.ENTRIES)
        return _value_task(cls, name, (units,), item_size=1)

    @classmethod
    def segmentation(cls, name, num_classes, size=None):
        """One class per pixel; labels `[batch, height, width]`, logits with `num_classes` channels.

        The default head interpolates to `size`, a pair of height and width, if there is one.
        """
        num_classes = arguments.integer("num_classes", num_classes, most=arguments.ENTRIES)
        accuracy = functools.partial(keras.metrics.SparseCategoricalAccuracy, name="accuracy")
        mean_iou = functools.partial(
            keras.metrics.MeanIoU, num_classes, sparse_y_pred=False, dtype="float32", name="mean_iou"
        )  # an integer type, its default, would cut fractional weights to integers
        return _index_task(cls, name, _grid(size), num_classes, (accuracy, mean_iou))

    @classmethod
    def dense_regression(cls, name, channels, size=None):
        """`channels` numbers per pixel by squared error, on maps `[batch, height, width, channels]`.

        A pixel is missing where any of its channels is NaN. The default head interpolates to `size`, a pair
        of height and width, if there is one.
        """
        channels = arguments.integer("channels", channels, most=arguments.ENTRIES)
        return _value_task(cls, name, (*_grid(size), channels), item_size=channels)

    @classmethod
    def tagging(cls, name, num_tags):
        """One tag per token; labels `[batch, length]`, negative for padding, `num_tags` logits each."""
        accuracy = functools.partial(keras.metrics.SparseCategoricalAccuracy, name="accuracy")
        num_tags = arguments.integer("num_tags", num_tags, most=arguments.ENTRIES)
        return _index_task(cls, name, (None,), num_tags, (accuracy,))

    def make_metrics(self):
        """Return fresh metrics, each with a name of its own: `auc`, `auc_1`."""
        return named_metrics(self.metrics)

    @property
    def labels_are_indices(self):
        """Whether a label is a class index rather than a vector of values."""
        return len(self.label_shape) < len(self.output_shape)

    def compute_loss(self, labels, logits, sample_weight=None):
        """Return the mean loss over the labelled items; 0 where there is none.

        Args:
            labels: Tensor `[batch, *label_shape]`; a trailing axis of size 1 may be absent or added.
            logits: Tensor `[batch, *output_shape]`.
            sample_weight: Optional tensor `[batch]`, or with as many leading axes of `labels` as wanted. The
                mean is weighted, so only ratios of weights matter.

        Returns:
            Scalar float32 tensor.
        """
        return self.mean_loss(*self.items(labels, logits, sample_weight))

    def mean_loss(self, labels, logits, item_weights):
        """Return the weighted mean loss of items, as `items` returns them; 0 where all weights are 0."""
        return ops.divide_no_nan(self.sum_loss(labels, logits, item_weights), ops.sum(item_weights))

    def sum_loss(self, labels, logits, item_weights):
        """Return the weighted sum of the losses of items, as `items` returns them."""
        return ops.sum(item_weights * ops.where(item_weights > 0, self.loss(labels, logits), 0.0))

    def item_weights(self, labels, sample_weight=None):
        """Return the weights of the items as `items` does, float32 `[items]`, from the labels alone.

        Args:
            labels: As for `compute_loss`.
            sample_weight: As for `compute_loss`.
        """
        weights = self._weights(self.missing(self._values(labels)), sample_weight)
        return flat(weights) if self.labels_are_indices else smallest(self._rows(weights))

    def items(self, labels, logits, sample_weight=None):
        """Flatten labels and logits to items and weight them, 0 where the label is missing.

        Args:
            labels: As for `compute_loss`.
            logits: As for `compute_loss`.
            sample_weight: As for `compute_loss`.

        Returns:
            Tuple `(labels, logits, weights)`: `[items]` or `[items, item_size]` with zeros for missing
            labels; `[items, item_size]`, float32; `[items]`, float32.
        """
        logits = ops.cast(logits, "float32")
        labels = self._values(labels)
        rank = len(self.label_shape) + 1
        if len(labels.shape) != rank:
            labels = ops.reshape(labels, ops.shape(logits)[:rank])
        missing = self.missing(labels)
        labels = ops.where(missing, ops.zeros_like(labels), labels)
        weights = self._weights(missing, sample_weight)
        logits = self._rows(logits)
        if self.labels_are_indices:
            return flat(labels), logits, flat(weights)
        return self._rows(labels), logits, smallest(self._rows(weights))

    def _weights(self, missing, sample_weight):
        weights = ops.cast(ops.logical_not(missing), "float32")
        if sample_weight is None:
            return weights
        return weights * expand_to(ops.cast(sample_weight, "float32"), weights)

    def _rows(self, x):
        """Flatten `[batch, ..., channels]` to `[items, item_size]`."""
        return (
            x if len(x.shape) == 2 and x.shape[1] == self.item_size else ops.reshape(x, (-1, self.item_size))
        )

    def _values(self, labels):
        labels = to_numbers(labels)
        return labels if self.labels_are_indices else ops.cast(labels, "float32")

    def labelled_fraction(self, labels):
        """Return which part of the labels is there, as a float32 scalar."""
        return 1.0 - ops.mean(ops.cast(self.missing(self._values(labels)), "float32"))

    def out_of_range(self, labels):
        """Return the number of labels that are neither missing nor in the valid range.

        Args:
            labels: Tensor, or NumPy array, of which NumPy counts: also in a process without TensorFlow.
        """
        labels, np_or_ops = comparable(labels)
        if self.max_label is not None:
            invalid = labels > self.max_label
        elif keras.backend.is_float_dtype(labels.dtype):
            invalid = np_or_ops.isinf(labels)
        else:
            return 0
        if self.missing not in (is_missing, ops.isnan):  # whose missing labels are never beyond the range
            invalid = np_or_ops.logical_and(invalid, np_or_ops.logical_not(self.missing(labels)))
        return np_or_ops.sum(invalid)

    def not_whole(self, labels):
        """Return the number of labels of classes that are there and are not whole numbers.

        Args:
            labels: As for `out_of_range`.
        """
        labels, np_or_ops = comparable(labels)
        if self.max_label is None or not keras.backend.is_float_dtype(labels.dtype):
            return 0
        labels = np_or_ops.maximum(labels, 0)  # what is negative is missing
        return np_or_ops.sum(labels > np_or_ops.floor(labels))


def _grid(size):
    """Return the shape of a map's positions."""
    return (None, None) if size is None else arguments.size("size", size)


def _sparse_crossentropy(labels, logits):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _binary_crossentropy(labels, logits):
    return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)


def _index_task(cls, name, grid, num_classes, metrics):
    return cls(
        name=name,
        output_shape=(*grid, num_classes),
        label_shape=grid,
        item_size=num_classes,
        loss=_sparse_crossentropy,
        activation=keras.activations.softmax,
        metrics=metrics,
        max_label=num_classes - 1,
        missing=is_missing,
    )


def _sigmoid_task(cls, name, n):
    return cls(
        name=name,
        output_shape=(n,),
        label_shape=(n,),
        item_size=1,
        loss=_binary_crossentropy,
        activation=keras.activations.sigmoid,
        metrics=(
            functools.partial(keras.metrics.BinaryAccuracy, name="accuracy"),
            functools.partial(keras.metrics.AUC, name="auc"),
        ),
        max_label=1,
        missing=is_missing,
    )


def _value_task(cls, name, shape, item_size):
    return cls(
        name=name,
        output_shape=shape,
        label_shape=shape,
        item_size=item_size,
        loss=keras.losses.mean_squared_error,
        activation=keras.activations.linear,
        metrics=(
            functools.partial(keras.metrics.MeanAbsoluteError, name="mean_absolute_error"),
            functools.partial(keras.metrics.RootMeanSquaredError, name="root_mean_squared_error"),
        ),
    )
