"""The mean negative logarithm of the probability of what came."""

import keras
from keras import ops

from mtl_zoo.kind_metrics import OfItems


@keras.saving.register_keras_serializable("mtl_zoo")
class LogLoss(OfItems):
    """Mean of `-log(p)`, with `p` the predicted probability of the label: of yes or no, or of a class.

    It is that of scikit-learn. Of the default losses it is the task's `loss` as well, but for class weights
    and smoothed labels, which metrics do not heed; probabilities are cut at 1e-7, where the loss of logits is
    exact.

    Args:
        name: Name of the metric. Defaults to `"log_loss"`.
        dtype: As for `keras.metrics.Metric`.

    Example:

    >>> metric = LogLoss()
    >>> metric.update_state([[1.0], [0.0]], [[0.5], [0.75]])
    >>> round(float(metric.result()), 5)  # (log(2) + log(4)) / 2
    1.03972
    """

    def __init__(self, name="log_loss", dtype=None):
        super().__init__(_log_loss, name, dtype)


def _log_loss(labels, predictions):
    labels, predictions = (ops.convert_to_tensor(x, "float32") for x in (labels, predictions))
    if len(labels.shape) < len(predictions.shape):
        return keras.losses.sparse_categorical_crossentropy(labels, predictions)
    return keras.losses.binary_crossentropy(labels, predictions)
