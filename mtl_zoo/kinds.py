"""The kinds of tasks: the fields of `Task` that its constructors fill."""

import functools

import keras
from keras import ops

from mtl_zoo import arguments, kind_metrics, losses
from mtl_zoo.items import is_missing, is_missing_or

MAX_EXPONENT = 80.0  # exp(88.8) overflows in float32


def classification(num_classes):
    """Return the fields of one class per example."""
    return _indices((), num_classes, (_sparse_accuracy(),))


def sigmoid(n):
    """Return the fields of `n` yes-or-no labels."""
    return {
        "output_shape": (n,),
        "label_shape": (n,),
        "item_size": 1,
        "loss": _binary_crossentropy,
        "activation": keras.activations.sigmoid,
        "metrics": (
            functools.partial(keras.metrics.BinaryAccuracy, name="accuracy"),
            functools.partial(keras.metrics.AUC, name="auc"),
        ),
        "max_label": 1,
        "missing": is_missing,
    }


def ordinal(num_classes):
    """Return the fields of one of several ordered classes per example."""
    fields = _indices((), num_classes, (_sparse_accuracy(), kind_metrics.ClassDistance))
    return fields | {"loss": _ordinal_crossentropy, "activation": ordinal_probabilities}


def segmentation(num_classes, size):
    """Return the fields of one class per pixel."""
    mean_iou = functools.partial(
        keras.metrics.MeanIoU, num_classes, sparse_y_pred=False, dtype="float32", name="mean_iou"
    )  # an integer type, its default, would cut fractional weights to integers
    return _indices(_grid(size), num_classes, (_sparse_accuracy(), mean_iou))


def tagging(num_tags):
    """Return the fields of one tag per token."""
    return _indices((None,), num_tags, (_sparse_accuracy(),))


def regression(units):
    """Return the fields of `units` numbers, each an item of its own."""
    return _values((units,), item_size=1)


def count(units):
    """Return the fields of `units` counts, each an item of its own."""
    mean_absolute_error = functools.partial(keras.metrics.MeanAbsoluteError, name="mean_absolute_error")
    return _values((units,), item_size=1) | {
        "loss": _poisson,
        "activation": keras.activations.exponential,
        "metrics": (mean_absolute_error, kind_metrics.PoissonDeviance),
        "missing": is_missing,
    }


def ranking(n):
    """Return the fields of an order of `n` candidates, whose list is an item."""
    return _values((n,), item_size=n) | {
        "loss": _pairwise_logistic,
        "metrics": (kind_metrics.PairwiseAccuracy, kind_metrics.NDCG),
        "missing": _is_without_pairs,
    }


def dense_regression(channels, size):
    """Return the fields of `channels` numbers per pixel, of which a pixel is an item."""
    return _values((*_grid(size), channels), item_size=channels)


def kind_of(task):
    """Return the kind of a task: the constructor of `mtl_zoo.Task` that makes such ones, or `conversion`."""
    rank = len(task.label_shape)
    if task.activation is conversion_probability:
        return "conversion"
    if task.labels_are_indices:
        names = {0: "classification", 1: "tagging", 2: "segmentation"}
        return "ordinal" if task.activation is ordinal_probabilities else names.get(rank, "classification")
    if task.max_label is not None:
        return "binary" if task.output_shape == (1,) else "multilabel"
    if task.missing is _is_without_pairs:
        return "ranking"
    if task.activation is keras.activations.exponential:
        return "count"
    return "regression" if rank == 1 else "dense_regression"


def accuracy_of(task):
    """Return the metric that `"accuracy"` means, as Keras chooses it by the shapes; `None` for numbers."""
    if task.labels_are_indices:
        return keras.metrics.SparseCategoricalAccuracy
    return keras.metrics.BinaryAccuracy if task.max_label == 1 else None


def adjusted(fields, loss=None, metrics=None, from_logits=None, label_smoothing=0):
    """Return fields with another loss and other metrics.

    Args:
        fields: Fields of a kind.
        loss: As for `losses.find`. Defaults to that of the kind.
        metrics: Sequence of what `metric_names.maker` takes. Defaults to those of the kind.
        from_logits: As for `losses.on_logits`.
        label_smoothing: Part of a label that goes to all classes alike. Defaults to 0.

    Raises:
        ValueError: If there are another loss and `label_smoothing`.
    """
    if arguments.number("label_smoothing", label_smoothing, least=0, below=1):
        if loss is not None:
            raise ValueError(
                "`label_smoothing` must be that of the default loss; another takes its own, as in "
                f"`keras.losses.CategoricalCrossentropy(label_smoothing=...)`. Received: loss={loss!r}"
            )
        fields = fields | {"loss": functools.partial(fields["loss"], label_smoothing=float(label_smoothing))}
    if metrics is not None:
        fields = fields | {"metrics": tuple(metrics)}
    return fields if loss is None else fields | of_loss(loss, fields, from_logits)


def of_loss(loss, fields, from_logits=None):
    """Return the fields that a loss settles; arguments as for `adjusted`."""
    loss = losses.find(loss)
    function = losses.on_logits(loss, fields["activation"], from_logits)
    output_shape, label_shape = fields["output_shape"], fields["label_shape"]
    found = of_unit(function, losses.unit(function, output_shape, label_shape), output_shape)
    ignored = losses.ignored_class(loss)
    return found if ignored is None else found | {"missing": functools.partial(is_missing_or, ignored)}


def of_unit(function, unit, output_shape):
    """Return the fields that tell how a loss is called.

    Args:
        function: As `losses.on_logits` returns it.
        unit: What it gives a number for, as `losses.unit` returns it.
        output_shape: Shape of the output for one example.
    """
    size = 1 if unit == "value" else output_shape[-1]
    return {"loss": function, "per": "item" if unit in ("value", "vector") else unit, "item_size": size}


def _grid(size):
    """Return the shape of a map's positions."""
    return (None, None) if size is None else arguments.size("size", size)


def _sparse_accuracy():
    return functools.partial(keras.metrics.SparseCategoricalAccuracy, name="accuracy")


@keras.saving.register_keras_serializable("mtl_zoo")
def _sparse_crossentropy(labels, logits, label_smoothing=0.0):
    if label_smoothing:
        classes = logits.shape[-1]
        targets = (1.0 - label_smoothing) * ops.one_hot(labels, classes) + label_smoothing / classes
        return ops.categorical_crossentropy(targets, logits, from_logits=True)
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@keras.saving.register_keras_serializable("mtl_zoo")
def _binary_crossentropy(labels, logits, label_smoothing=0.0):
    if label_smoothing:
        labels = labels * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)


@keras.saving.register_keras_serializable("mtl_zoo")
def _poisson(labels, logits):
    exponent = ops.minimum(logits, MAX_EXPONENT)
    rate = ops.exp(exponent) * (1.0 + logits - exponent)  # beyond, along the tangent
    return ops.mean(rate - labels * logits, axis=-1)


@keras.saving.register_keras_serializable("mtl_zoo")
def _ordinal_crossentropy(labels, logits):
    return _sparse_crossentropy(labels, ordinal_log_probabilities(logits))


@keras.saving.register_keras_serializable("mtl_zoo")
def ordinal_probabilities(logits):
    """Return the probabilities of ordered classes; see `Task.ordinal`."""
    return ops.softmax(ordinal_log_probabilities(logits), axis=-1)  # sums to 1 already, but for rounding


def ordinal_log_probabilities(logits):
    """Return the logarithms of the probabilities of ordered classes, `P(label >= k) - P(label >= k + 1)`.

    With `c_k = z_0 - t_k` that is `sigmoid(c_k) sigmoid(-c_{k+1}) (1 - exp(c_{k+1} - c_k))`, whose last
    factor is `sigmoid(z_{k+1})`: all of it without cancellation.
    """
    steps = ops.softplus(logits[..., 2:])
    thresholds = ops.cumsum(ops.concatenate([logits[..., 1:2], steps], axis=-1), axis=-1)
    above = logits[..., :1] - thresholds
    zero = ops.zeros_like(logits[..., :1])
    reached = ops.concatenate([zero, ops.log_sigmoid(above)], axis=-1)
    not_passed = ops.concatenate([ops.log_sigmoid(-above), zero], axis=-1)
    between = ops.concatenate([zero, ops.log_sigmoid(logits[..., 2:]), zero], axis=-1)
    return reached + not_passed + between


@keras.saving.register_keras_serializable("mtl_zoo")
def conversion_probability(outputs):
    """Return the probability `[batch, 1]` of a conversion after a click; see `mtl_zoo.conversion_task`."""
    return ops.sigmoid(outputs[..., :1])


@keras.saving.register_keras_serializable("mtl_zoo")
def _pairwise_logistic(relevance, scores):
    behind = scores[:, None, :] - scores[:, :, None]
    return kind_metrics.mean_over_pairs(relevance, ops.softplus(behind))


@keras.saving.register_keras_serializable("mtl_zoo")
def _is_without_pairs(relevance):
    """Return where a list has no two candidates of different relevance: all of it or nothing."""
    relevance = ops.cast(relevance, "float32")
    absent = is_missing(relevance)
    most = ops.max(ops.where(absent, -1.0, relevance), axis=-1, keepdims=True)
    least = ops.min(ops.where(absent, float("inf"), relevance), axis=-1, keepdims=True)
    return ops.broadcast_to(most <= least, ops.shape(relevance))


def _indices(grid, num_classes, metrics):
    return {
        "output_shape": (*grid, num_classes),
        "label_shape": grid,
        "item_size": num_classes,
        "loss": _sparse_crossentropy,
        "activation": keras.activations.softmax,
        "metrics": metrics,
        "max_label": num_classes - 1,
        "missing": is_missing,
    }


def _values(shape, item_size):
    return {
        "output_shape": shape,
        "label_shape": shape,
        "item_size": item_size,
        "loss": keras.losses.mean_squared_error,
        "activation": keras.activations.linear,
        "metrics": (
            functools.partial(keras.metrics.MeanAbsoluteError, name="mean_absolute_error"),
            functools.partial(keras.metrics.RootMeanSquaredError, name="root_mean_squared_error"),
        ),
    }


OF_SINGLE_ITEMS = (  # losses that take every item by itself, whatever others are in the batch
    _sparse_crossentropy,
    _binary_crossentropy,
    _poisson,
    keras.losses.mean_squared_error,
)
