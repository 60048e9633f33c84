"""What a model is asked to do: the one description that dataset, model, trainer and exporter share."""

import dataclasses
from collections.abc import Callable

import keras
from keras import ops

from mtl_zoo import arguments, class_weights, constructors, headlines, kinds, label_counts, task_config
from mtl_zoo.items import expand_to, flat, hidden, label_values, mask_of, smallest
from mtl_zoo.metric_names import maker, named_metrics
from mtl_zoo.spaces import check_space, labels_of, own_labels
from mtl_zoo.validation import check_fields, check_name, check_shapes


@keras.saving.register_keras_serializable("mtl_zoo")
@dataclasses.dataclass(frozen=True)
class Task:
    """One thing a model predicts: its output, loss, metrics and activation, and which labels are missing.

    The model outputs logits; the loss takes logits, `activation` turns them into predictions, and metrics
    take predictions. Labels may be missing for any item (an example, a pixel, a token or a single value of
    a vector): class labels below 0 and NaN never reach the loss or a metric, and the loss is the mean over
    the labelled items.

    Prefer a constructor such as `Task.classification`, which takes another `loss` and other `metrics` as
    `keras.Model.compile` does: names, instances or functions. A loss of predictions gets predictions, unless
    it or `from_logits` says that it takes logits. Constructors of classes take `label_smoothing=s` with the
    default loss: targets are `(1 - s) one-hot + s / classes`, or `y (1 - s) + s / 2` of yes or no.
    `dataclasses.replace` changes any field of an instance.

    Args:
        name: Name of the task: the model's output, the labels' key, and the prefix in the logs. English
            letters, digits and underscores; `mtl_zoo.validation.check_name` lists the names that are taken.
        output_shape: Shape of the model's output for one example, for instance `(10,)` or `(None, None, 3)`.
        label_shape: Shape of one example's label. One axis shorter than `output_shape` where labels are
            class indices.
        item_size: Length of the last axis of one item's output. An item is what has one loss: class logits
            of an example, pixel or token; a single value of a regression; all channels of a pixel.
        loss: Function `(labels, logits) -> losses` on a batch of items, without reduction; or the name or an
            instance of a `keras.losses.Loss`, whose own reduction does not matter.
        activation: Function that turns logits into predictions.
        metrics: Names or instances of `keras.metrics.Metric`, or functions without arguments that each return
            a fresh one; every trainer has its own copies. A metric gets what it gets in plain Keras: arrays
            in the task's shape, of class indices or one-hot labels, whichever it takes, and weights 0 where a
            label is missing (see `task_metrics.TaskMetrics`). Of two with one name, the second becomes
            `auc_1`.
        max_label: Largest valid label, which all are whole numbers then, or `None` where any finite number is
            one (probabilities as labels of a binary task, for instance).
        missing: Function that returns where labels are absent. Defaults to NaN alone, since a number of a
            regression may be negative.
        label_name: Key of the task's labels. Defaults to the name. A copy with another name keeps it, so that
            several outputs can learn from one label.
        output: Which of the model's outputs is the task's: its key in a dict, its place in a list, or the
            name of the layer that makes it. Defaults to the task's name; a model with one output needs none.
        per: What `loss` gives a number for: an `"item"`; a whole `"example"`, which is missing if any part of
            its label is; or the `"batch"`, whose labels must all be there.
        reduction: What the sum of the weighted losses is divided by, in Keras' words:
            `"mean_with_sample_weight"` by the sum of the weights, so that only their ratios matter;
            `"sum_over_batch_size"` by the number of labelled items; `"sum"` by nothing.
        unweighted: Names of metrics that sample weights do not touch.
        metrics_take_logits: Whether metrics get what the model answers, as in plain Keras, although that are
            logits. Defaults to `False`: they get predictions.
        class_weight: What the losses of a class's items are multiplied by: a dict from classes to weights, 1
            for those without an entry, or `"balanced"`, which the first `Trainer.fit` counts in its data:
            labels / (classes * labels of the class). Several labels have one dict for all or a list of one
            each. Metrics do not heed it. Defaults to `None`.
        headline: Names of the metrics by which comparisons judge the task, `"loss"` for its loss; or a dict
            from them to `"max"` or `"min"`, what is better, for metrics of which that is not known. Defaults
            to `None`: one that suits the kind, see `evaluation.headline_metrics`.
        where: The rows on which the task is defined: the name of another task, whose label must be there and
            above 0 (1 of a binary one), or a function from a dict of the labels in the data, tensors by their
            names, to a boolean per row. On all other rows the label is missing, whatever the data say.
            Defaults to `None`: all rows.

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
    output: str | int | None = dataclasses.field(default=None, repr=False)
    per: str = dataclasses.field(default="item", repr=False)
    reduction: str = dataclasses.field(default="mean_with_sample_weight", repr=False)
    unweighted: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    metrics_take_logits: bool = dataclasses.field(default=False, repr=False)
    class_weight: object = dataclasses.field(default=None, repr=False, hash=False)
    headline: tuple[str, ...] | dict | None = dataclasses.field(default=None, repr=False, hash=False)
    where: str | Callable | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        check_name(self.name)
        check_shapes(self)
        object.__setattr__(self, "label_name", self.label_name or self.name)
        if isinstance(self.loss, (str, keras.losses.Loss)):
            for field, value in kinds.of_loss(self.loss, vars(self)).items():
                object.__setattr__(self, field, value)
        if isinstance(self.metrics, (tuple, list)):
            accuracy = kinds.accuracy_of(self)
            object.__setattr__(self, "metrics", tuple(maker(x, accuracy) for x in self.metrics))
        if arguments.integer("item_size", self.item_size, most=arguments.ENTRIES) < 1:
            shape = self.output_shape
            raise ValueError(
                f"Task '{self.name}' must have at least one output. Received: output_shape={shape}"
            )
        check_fields(self)
        object.__setattr__(self, "class_weight", class_weights.table(self))
        object.__setattr__(self, "headline", headlines.check(self.headline))
        check_space(self)

    classification = classmethod(constructors.classification)
    binary = classmethod(constructors.binary)
    multilabel = classmethod(constructors.multilabel)
    ordinal = classmethod(constructors.ordinal)
    regression = classmethod(constructors.regression)
    count = classmethod(constructors.count)
    ranking = classmethod(constructors.ranking)
    segmentation = classmethod(constructors.segmentation)
    dense_regression = classmethod(constructors.dense_regression)
    tagging = classmethod(constructors.tagging)
    out_of_range = label_counts.out_of_range
    not_whole = label_counts.not_whole
    labelled_fraction = label_counts.labelled_fraction
    num_missing = label_counts.num_missing
    labels_of = labels_of

    def get_config(self):
        """Return plain values, out of which `from_config` makes the same task."""
        return task_config.of(self)

    @classmethod
    def from_config(cls, config):
        """Return the task that `get_config` described."""
        return cls(**task_config.fields(config))

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
            labels: Tensor `[batch, *label_shape]`; a trailing axis of size 1 may be absent or added. With a
                `where`, a dict of the labels of all tasks, of which `labels_of` takes the task's.
            logits: Tensor `[batch, *output_shape]`; or what the task's softmax or sigmoid just made of it.
            sample_weight: Optional tensor `[batch]`, or with as many leading axes of `labels` as wanted. The
                mean is weighted, so only ratios of weights matter.

        Returns:
            Scalar float32 tensor.
        """
        labels = hidden(self, own_labels(self, labels), mask_of(logits))
        items = self.items(labels, self.logits_of(logits), sample_weight)
        counts = self.item_counts(labels, sample_weight)
        return ops.divide_no_nan(self.sum_loss(*items), self.divisor(ops.sum(counts)))

    def logits_of(self, outputs):
        """Return the logits that a softmax or sigmoid made outputs of, or else the outputs themselves."""
        activated = self.activation in (keras.activations.softmax, keras.activations.sigmoid)
        return getattr(outputs, "_keras_logits", outputs) if activated else outputs

    def sum_loss(self, labels, logits, item_weights):
        """Return the weighted sum of the losses of items, as `items` returns them.

        Raises:
            ValueError: If the loss does not give one number per item.
        """
        return ops.sum(self.item_losses(labels, logits, item_weights))

    def item_losses(self, labels, logits, item_weights):
        """Return the weighted losses of items, `[items]`, of which `sum_loss` is the sum."""
        losses = self._losses(labels, logits, item_weights)
        weights = self._times_class_weights(item_weights, labels)
        return weights * ops.where(weights > 0, losses, 0.0)

    def divisor(self, counts):
        """Return what the sum of the losses is divided by, out of the sum of `item_counts`, of any shape."""
        return ops.cast(counts > 0, "float32") if self.reduction == "sum" else counts

    def extent(self, labels, count):
        """Return how much a batch counts in the mean over several: its divisor, or as in Keras its examples.

        Args:
            labels: As for `compute_loss`, what the model masks among them.
            count: Sum of `item_counts`.
        """
        if self.reduction == "mean_with_sample_weight":
            return count
        there = self.item_weights(labels)
        return ops.mean(there) * ops.cast(ops.shape(labels)[0], "float32")

    def item_counts(self, labels, sample_weight=None):
        """Return what items count in the divisor of the loss, float32 `[items]`: weights, or 1 if labelled.

        The weights are those of examples times those of classes.

        Args:
            labels: As for `compute_loss`.
            sample_weight: As for `compute_loss`.
        """
        if self.reduction != "mean_with_sample_weight":
            return self.item_weights(labels)
        return self._times_class_weights(self.item_weights(labels, sample_weight), label_values(self, labels))

    def item_weights(self, labels, sample_weight=None):
        """Return the weights of the items as `items` does, float32 `[items]`, from the labels alone.

        Args:
            labels: As for `compute_loss`.
            sample_weight: As for `compute_loss`.
        """
        return self._weights_of_items(self.missing(label_values(self, labels)), sample_weight)

    def items(self, labels, logits, sample_weight=None):
        """Flatten labels and logits to items and weight them, 0 where the label is missing.

        What the model masks (`mask_zero` of an embedding, for instance) counts as missing.

        Args:
            labels: As for `compute_loss`.
            logits: As for `compute_loss`.
            sample_weight: As for `compute_loss`.

        Returns:
            Tuple `(labels, logits, weights)`: `[items]` or `[items, item_size]` with zeros for missing
            labels; `[items, item_size]`, float32; `[items]`, float32. With a loss of whole examples, labels
            and logits stay as they are.
        """
        labels = hidden(self, labels, mask_of(logits))
        logits = ops.cast(logits, "float32")
        labels = label_values(self, labels)
        rank = len(self.label_shape) + 1
        if len(labels.shape) != rank:
            labels = ops.reshape(labels, ops.shape(logits)[:rank])
        missing = self.missing(labels)
        labels = ops.where(missing, ops.zeros_like(labels), labels)
        weights = self._weights_of_items(missing, sample_weight)
        if self.per != "item":
            return labels, logits, weights
        return flat(labels) if self.labels_are_indices else self._rows(labels), self._rows(logits), weights

    def _losses(self, labels, logits, item_weights):
        """Return one loss per item."""
        losses = self.loss(labels, logits)
        if self.per == "example":
            return ops.mean(losses, axis=tuple(range(1, len(losses.shape))))
        if self.per == "batch":
            return losses + ops.zeros_like(item_weights)
        if tuple(losses.shape[1:]) not in ((), (1,)) or not len(losses.shape):
            raise ValueError(
                f"The loss of task '{self.name}' must return one number per item, without reduction: "
                "`loss=` of a constructor, as in `Task.regression('price', loss=...)`, takes any loss. "
                f"Received: shape {tuple(losses.shape)} for labels of shape {tuple(labels.shape)}"
            )
        return flat(losses)

    def _times_class_weights(self, item_weights, labels):
        if self.class_weight is None:
            return item_weights
        return item_weights * class_weights.of_labels(self, labels)

    def _weights_of_items(self, missing, sample_weight):
        weights = ops.cast(ops.logical_not(missing), "float32")
        if sample_weight is not None:
            weights = weights * expand_to(ops.cast(sample_weight, "float32"), weights)
        if self.per != "item":
            return smallest(ops.reshape(weights, (ops.shape(weights)[0], -1)))
        return flat(weights) if self.labels_are_indices else smallest(self._rows(weights))

    def _rows(self, x):
        """Flatten `[batch, ..., channels]` to `[items, item_size]`."""
        are_rows = len(x.shape) == 2 and x.shape[1] == self.item_size
        return x if are_rows else ops.reshape(x, (-1, self.item_size))
