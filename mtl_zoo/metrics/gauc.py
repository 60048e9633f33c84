"""The area under the ROC curve within groups, by histograms."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.items import flat

LARGEST_LOGIT = 16.0  # of float32: beyond it probabilities are 1


@keras.saving.register_keras_serializable("mtl_zoo")
class GAUC(keras.metrics.Metric):
    """Mean over groups of the area under the ROC curve, in which a group counts by its examples.

    Whether a user clicks at all is easier to know than what the user clicks: this measures the latter alone.
    Groups whose labels are all alike have no area and are left out; without others it is NaN.

    A trainer takes the groups from the input of the model that the attribute `input_name` names, which must
    be one number per example. In plain Keras they are the second column of the labels.

    Args:
        group: Name of the model's input with the groups, whole numbers from 0 on.
        num_groups: Number of groups. If any example with a label has another group, the result is NaN.
        num_bins: Number of bins of predictions. Two that fall into one count as equal. Defaults to 320, each
            of 0.1 in log-odds.
        name: Name of the metric. Defaults to `"gauc"`.
        dtype: As for `keras.metrics.Metric`.

    Raises:
        ValueError: If `group` is no string, or a number is not a positive integer.

    Example:

    >>> metric = GAUC("user", num_groups=2)
    >>> labels_and_users = [[1, 0], [0, 0], [1, 1], [0, 1], [0, 1]]
    >>> metric.update_state(labels_and_users, [0.9, 0.8, 0.2, 0.3, 0.1])
    >>> round(float(metric.result()), 5)  # 1 of two examples and 1/2 of three
    0.7

    Reference:
        [Zhu et al., 2017](https://arxiv.org/abs/1703.02091)

    Note:
        `mz.evaluation.gauc` is exact, and takes any groups, but needs all predictions at once. This one holds
        `2 * num_groups * num_bins` numbers, which every step of training works through.
    """

    def __init__(self, group, num_groups, num_bins=320, name="gauc", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.group = self.input_name = arguments.text("group", group)
        self.num_groups = arguments.integer("num_groups", num_groups, 1, arguments.ENTRIES)
        self.num_bins = arguments.integer("num_bins", num_bins, 1, arguments.UNITS)
        size = arguments.integer("num_groups * num_bins", self.num_groups * self.num_bins)
        self.counts = self.add_variable((size, 2), "zeros", name="counts")
        self.foreign = self.add_variable((), "zeros", name="foreign")

    def get_config(self):
        """Return the arguments."""
        own = {"group": self.group, "num_groups": self.num_groups, "num_bins": self.num_bins}
        return super().get_config() | own

    def check_task(self, task):
        """Raise an error unless a task is of yes or no, and its metrics get probabilities."""
        if task.output_shape != (1,) or task.max_label != 1 or task.metrics_take_logits:
            raise ValueError(
                f"Metric '{self.name}' must be of a task of yes or no, and get probabilities. Received: task "
                f"'{task.name}' of shape {task.output_shape} with max_label={task.max_label}, "
                f"metrics_take_logits={task.metrics_take_logits}"
            )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch.

        Args:
            y_true: Tensor `[examples, 2]`: labels from 0 to 1, and groups.
            y_pred: Tensor `[examples]` or `[examples, 1]` of probabilities.
            sample_weight: Optional tensor likewise.
        """
        labels, groups = ops.unstack(ops.cast(y_true, self.dtype), 2, axis=-1)
        predictions = flat(ops.cast(y_pred, self.dtype))
        weights = ops.ones_like(labels)
        if sample_weight is not None:
            weights = flat(ops.cast(sample_weight, self.dtype))
        known = self._is_known(groups, predictions)
        self.foreign.assign_add(ops.sum(ops.where(known, 0.0, weights)))
        weights = ops.where(known, weights, 0.0)
        places = ops.cast(groups, "int32") * self.num_bins + ops.cast(self._bins(predictions), "int32")
        pairs = weights[:, None] * ops.stack([1.0 - labels, labels], axis=-1)
        self.counts.assign_add(ops.segment_sum(pairs, ops.where(known, places, 0), self.counts.shape[0]))

    def result(self):
        """Return the mean of the areas."""
        counts = ops.reshape(self.counts, (self.num_groups, self.num_bins, 2))
        negatives, positives = counts[..., 0], counts[..., 1]
        below = ops.cumsum(negatives, axis=-1) - 0.5 * negatives
        total = ops.sum(counts, axis=1)
        areas = ops.divide_no_nan(ops.sum(positives * below, axis=-1), total[:, 0] * total[:, 1])
        sizes = ops.where(ops.min(total, axis=-1) > 0, ops.sum(total, axis=-1), 0.0)
        size = ops.where(self.foreign > 0, 0.0, ops.sum(sizes))
        mean = ops.divide_no_nan(ops.sum(sizes * areas), size)
        return ops.where(size > 0, mean, float("nan"))

    def _is_known(self, groups, predictions):
        """Return where a group is one of ours and a prediction is a probability; NaN is neither."""
        among = ops.logical_and(groups >= 0, groups < self.num_groups)
        among = ops.logical_and(among, groups == ops.floor(groups))
        are_probabilities = ops.logical_and(predictions >= 0, predictions <= 1)
        return ops.logical_and(among, are_probabilities)

    def _bins(self, predictions):
        logits = ops.log(predictions) - ops.log1p(-predictions)
        places = (logits / LARGEST_LOGIT + 1.0) * 0.5 * self.num_bins
        return ops.clip(ops.floor(places), 0, self.num_bins - 1)
