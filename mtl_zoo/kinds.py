"""The kinds of tasks: the fields of `Task` that its constructors fill."""

import functools

import keras
from keras import ops

from mtl_zoo import arguments, losses
from mtl_zoo.items import is_missing, is_missing_or


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


def dense_regression(channels, size):
    """Return the fields of `channels` numbers per pixel, of which a pixel is an item."""
    return _values((*_grid(size), channels), item_size=channels)


def adjusted(fields, loss=None, metrics=None, from_logits=None):
    """Return fields with another loss and other metrics.

    Args:
        fields: Fields of a kind.
        loss: As for `losses.find`. Defaults to that of the kind.
        metrics: Sequence of what `metric_names.maker` takes. Defaults to those of the kind.
        from_logits: As for `losses.on_logits`.
    """
    if metrics is not None:
        fields = fields | {"metrics": tuple(metrics)}
    return fields if loss is None else fields | of_loss(loss, fields, from_logits)


def of_loss(loss, fields, from_logits=None):
    """Return the fields that a loss settles; arguments as for `adjusted`."""
    loss = losses.find(loss)
    function = losses.on_logits(loss, fields["activation"], from_logits)
    output_shape, label_shape = fields["output_shape"], fields["label_shape"]
    part = losses.unit(function, output_shape, label_shape)
    found = {"loss": function, "per": "item" if part in ("value", "vector") else part}
    found["item_size"] = 1 if part == "value" else output_shape[-1]
    ignored = losses.ignored_class(loss)
    return found if ignored is None else found | {"missing": functools.partial(is_missing_or, ignored)}


def _grid(size):
    """Return the shape of a map's positions."""
    return (None, None) if size is None else arguments.size("size", size)


def _sparse_accuracy():
    return functools.partial(keras.metrics.SparseCategoricalAccuracy, name="accuracy")


def _sparse_crossentropy(labels, logits):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def _binary_crossentropy(labels, logits):
    return ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True), axis=-1)


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
