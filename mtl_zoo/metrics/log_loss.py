"""The mean negative logarithm of the probability of what came."""

import keras
import numpy as np
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.kind_metrics import OfItems

ROUNDING = 1e-3  # of float16


@keras.saving.register_keras_serializable("mtl_zoo")
class LogLoss(OfItems):
    """Mean of `-log(p)`, with `p` the predicted probability of the label: of yes or no, or of a class.

    It is that of scikit-learn. Of the default losses it is the task's `loss` as well, but for class weights
    and smoothed labels, which metrics do not heed; probabilities are cut at 1e-7, where the loss of logits is
    exact.

    Predictions of one column, or none, are the probabilities of yes. Those of several are of classes where
    labels have no such axis or one number in it, the index of a class; where labels have as many columns,
    shapes do not tell what they are, and you must. NaN if any prediction, or label that is no index, is not
    from 0 to 1, even one of weight 0: logits, for instance.

    Args:
        multi_label: Whether labels of several columns are a yes or no each (`True`), or the probabilities of
            classes, such as one-hot vectors (`False`). Defaults to `None`: they are refused.
        name: Name of the metric. Defaults to `"log_loss"`.
        dtype: As for `keras.metrics.Metric`.

    Raises:
        ValueError: By `update_state`, if the shapes of labels and predictions are none of these; by a trainer
            also if the activation of a task does not make probabilities.

    Example:

    >>> metric = LogLoss()
    >>> metric.update_state([[1.0], [0.0]], [[0.5], [0.75]])
    >>> round(float(metric.result()), 5)  # (log(2) + log(4)) / 2
    1.03972
    >>> metric = LogLoss(multi_label=False)
    >>> metric.update_state([[0.0, 1.0, 0.0]], [[0.2, 0.5, 0.3]])
    >>> round(float(metric.result()), 5)  # log(2)
    0.69315
    """

    def __init__(self, multi_label=None, name="log_loss", dtype=None):
        self.multi_label = None if multi_label is None else arguments.flag("multi_label", multi_label)
        super().__init__(_log_loss, name, dtype, multi_label=self.multi_label)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"multi_label": self.multi_label}

    def check_task(self, task):
        """Raise an error unless predictions of a task may be probabilities, and it is known of what."""
        sizes = (task.item_size,) if task.per == "item" else tuple(size or 2 for size in task.output_shape)
        shape, last = (2, *sizes), 1 if task.labels_are_indices else sizes[-1]
        _crossentropy((*shape[:-1], last), shape, self.multi_label, f"task '{task.name}'")
        if task.activation is not keras.activations.linear or task.metrics_take_logits:
            self._check_probabilities(task, shape)  # else the model itself may answer them

    def _check_probabilities(self, task, shape):
        logits = np.linspace(-9, 9, np.prod(shape), dtype="float32").reshape(shape)
        values = ops.convert_to_numpy(logits if task.metrics_take_logits else task.activation(logits))
        are_of_classes = shape[-1] > 1 and not self.multi_label
        if values.shape != shape or not _are_probabilities(values, are_of_classes):
            raise ValueError(
                f"Metric '{self.name}' must be of a task whose predictions are probabilities, which sum to 1 "
                f"if they are of classes. Received: task '{task.name}', which for logits of shape {shape} "
                f"from -9 to 9 has some of shape {values.shape} from {values.min():g} to {values.max():g}"
            )


def _log_loss(labels, predictions, multi_label=None):
    labels, predictions = (ops.convert_to_tensor(x, "float32") for x in (labels, predictions))
    if len(predictions.shape) == 1:
        predictions = ops.expand_dims(predictions, -1)
    if len(labels.shape) < len(predictions.shape):
        labels = ops.expand_dims(labels, -1)
    function = _crossentropy(labels.shape, predictions.shape, multi_label)
    of_indices = function is keras.losses.sparse_categorical_crossentropy
    given = predictions if of_indices else ops.concatenate([labels, predictions], axis=-1)
    are_known = ops.all(ops.logical_and(given >= 0, given <= 1 + ROUNDING), axis=-1)
    return ops.where(are_known, function(labels, predictions), float("nan"))


def _crossentropy(labels, predictions, multi_label, owner="`LogLoss`"):
    """Return the function for labels and predictions of these shapes, which have as many axes."""
    size, columns = labels[-1], predictions[-1]
    if len(labels) == len(predictions) and columns is not None:
        if size == columns and (columns == 1 or multi_label):
            return keras.losses.binary_crossentropy
        if size == columns and multi_label is False:
            return keras.losses.categorical_crossentropy
        if size == 1 and not multi_label:
            return keras.losses.sparse_categorical_crossentropy
    raise ValueError(
        f"Labels of {owner} must be class indices or have the shape of the predictions; of several columns "
        "`LogLoss(multi_label=...)` must tell whether each is a yes or no (True) or the probability of a "
        f"class (False). Received: shapes {tuple(labels)} and {tuple(predictions)}, multi_label={multi_label}"
    )


def _are_probabilities(values, are_of_classes):
    within = values.min() >= 0 and values.max() <= 1 + ROUNDING
    return within and (not are_of_classes or np.allclose(values.sum(axis=-1), 1, atol=ROUNDING))
