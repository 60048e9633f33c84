"""How much is predicted for what is observed."""

import keras
from keras import ops

from mtl_zoo.items import expand_to


@keras.saving.register_keras_serializable("mtl_zoo")
class Calibration(keras.metrics.Metric):
    """Sum of the predictions divided by that of the labels: above 1 too much is predicted, below too little.

    Of clicks it is the predicted click-through rate over the observed one. The best value is 1, from which
    both directions are worse, so no task is judged by it: `headline` refuses it, unless you declare a
    direction. NaN where all labels are 0.

    Args:
        name: Name of the metric. Defaults to `"calibration"`.
        dtype: As for `keras.metrics.Metric`.

    Example:

    >>> metric = Calibration()
    >>> metric.update_state([[1.0], [0.0], [1.0]], [[0.9], [0.1], [0.5]], sample_weight=[[1.0], [1.0], [0.0]])
    >>> float(metric.result())  # (0.9 + 0.1) / 1
    1.0

    Reference:
        [He et al., 2014](https://doi.org/10.1145/2648584.2648589)
    """

    def __init__(self, name="calibration", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.predicted = self.add_variable((), "zeros", name="predicted")
        self.observed = self.add_variable((), "zeros", name="observed")

    def check_task(self, task):
        """Raise an error if metrics of a task get logits, whose sum is that of nothing."""
        if task.metrics_take_logits:
            raise ValueError(
                f"Metric '{self.name}' must be of a task whose metrics get predictions. Received: task "
                f"'{task.name}' with metrics_take_logits=True"
            )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: Tensor of labels, numbers of at least 0.
            y_pred: Tensor of predictions, of the shape of the labels.
            sample_weight: Optional tensor of weights, with as many leading axes of the labels as wanted.

        Raises:
            ValueError: If the shapes of labels and predictions differ, as those of class indices do.
        """
        labels, predictions = (ops.convert_to_tensor(y, self.dtype) for y in (y_true, y_pred))
        if len(labels.shape) != len(predictions.shape):
            raise ValueError(
                "Labels of `Calibration` must have the shape of the predictions. "
                f"Received: shapes {tuple(labels.shape)} and {tuple(predictions.shape)}"
            )
        weights = ops.ones_like(labels)
        if sample_weight is not None:
            weights = weights * expand_to(ops.cast(sample_weight, self.dtype), weights)
        self.predicted.assign_add(ops.sum(weights * predictions))
        self.observed.assign_add(ops.sum(weights * labels))

    def result(self):
        """Return the quotient; NaN where nothing was observed."""
        ratio = ops.divide_no_nan(self.predicted, self.observed)
        return ops.where(self.observed > 0, ratio, float("nan"))
