"""The task of conversions that only a click can show, learned as if all examples had been clicked."""

import functools

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.items import is_missing
from mtl_zoo.kinds import conversion_probability
from mtl_zoo.task import Task

SIZES = {"ips": 2, "dr": 3}


def conversion_task(name, estimator="dr", max_weight=15.0):
    """Return the task of the conversion rate after a click, of all examples, for `architectures.escm2`.

    Examples that were clicked are not like the others, so the mean loss over them is not that of a model
    which answers for all. Each clicked one is weighted by the inverse of its probability of a click, as the
    model itself tells it (the propensity), through which no gradient flows. With that weight w for clicked
    examples and 0 for others, the binary crossentropy e, and another tower's guess g of e:

    * `"ips"` (inverse propensity score): the mean of `w e` over all examples.
    * `"dr"` (doubly robust): the mean of `g + w (e - g) + w (e - g)^2`, whose first part is right if either
      the propensities or the guesses are.

    Labels are 1 for a conversion, 0 for a click without, and missing (negative or NaN) where there was no
    click. To leave out an example of which nothing is known, give it the sample weight 0. Metrics look at
    clicked examples alone.

    Args:
        name: Name of the task.
        estimator: `"dr"` or `"ips"`. Defaults to `"dr"`.
        max_weight: Largest weight of an example. Defaults to 15, as in the authors' code.

    Returns:
        `Task` whose output are 2 or 3 numbers: the logit of a conversion after a click, that of a click, and
        for `"dr"` the guess before a softplus. Its predictions are the probabilities `[batch, 1]` of a
        conversion after a click.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> task = conversion_task("bought", "ips")
    >>> outputs = np.zeros((4, 2), "float32")  # all propensities are one half
    >>> round(float(task.compute_loss([1, 0, -1, -1], outputs)), 4)  # 2 * 2 * log(2) / 4
    0.6931

    Reference:
        [Wang et al., 2022](https://arxiv.org/abs/2204.05125)
    """
    arguments.option("estimator", estimator, sorted(SIZES))
    max_weight = arguments.number("max_weight", max_weight, least=1)
    return Task(
        name,
        output_shape=(SIZES[estimator],),
        label_shape=(),
        item_size=SIZES[estimator],
        loss=functools.partial(_risk, max_weight=max_weight),
        activation=conversion_probability,
        metrics=(functools.partial(ConversionAUC, name="auc"),),
        max_label=1,
        missing=_never,
        headline={"auc": "max"},
    )


@keras.saving.register_keras_serializable("mtl_zoo")
class ConversionAUC(keras.metrics.AUC):
    """Area under the ROC curve of conversions, among clicked examples."""

    sparse_y_true = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch; what was not clicked has the weight 0."""
        clicked = ops.logical_not(is_missing(y_true))
        weights = ops.cast(clicked, "float32")
        weights = weights if sample_weight is None else weights * ops.cast(sample_weight, "float32")
        super().update_state(ops.where(clicked, y_true, 0), y_pred, sample_weight=weights)


@keras.saving.register_keras_serializable("mtl_zoo")
def _risk(labels, outputs, max_weight):
    """Return the loss of every example, whose mean over all is that of the estimator."""
    clicked = ops.logical_not(is_missing(labels))
    bought = ops.cast(ops.where(clicked, labels, 0), outputs.dtype)
    logit, propensity = outputs[:, 0], ops.stop_gradient(outputs[:, 1])
    inverse = ops.minimum(1.0 + ops.exp(ops.minimum(-propensity, 80.0)), max_weight)  # 1 / sigmoid
    weight = ops.cast(clicked, outputs.dtype) * inverse
    error = ops.softplus(logit) - bought * logit
    if outputs.shape[-1] == SIZES["ips"]:
        return weight * error
    guess = ops.softplus(outputs[:, 2])
    return guess + weight * (error - guess) + weight * ops.square(error - guess)


@keras.saving.register_keras_serializable("mtl_zoo")
def _never(labels):
    """Return that no label is missing: none means no click, which the loss must know."""
    return ops.zeros_like(labels, dtype="bool")
