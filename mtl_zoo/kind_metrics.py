"""Metrics of the kinds of tasks for which Keras has none."""

import keras
from keras import ops

from mtl_zoo import arguments
from mtl_zoo.items import is_missing

CLASSES, NUMBERS, LISTS = "class indices", "single numbers", "several numbers per item"


class OfItems(keras.metrics.MeanMetricWrapper):
    """Mean of a function of labels `[items]` or `[items, item_size]` and predictions `[items, item_size]`.

    Attributes:
        takes: What the labels of a task may be: some of `CLASSES`, `NUMBERS` and `LISTS`.
    """

    takes = (CLASSES, NUMBERS, LISTS)

    def get_config(self):
        return keras.metrics.Metric.get_config(self)

    def check_task(self, task):
        """Raise an error unless the labels of a task are what the function takes."""
        found = CLASSES if task.labels_are_indices else LISTS if task.item_size > 1 else NUMBERS
        if found not in self.takes:
            raise ValueError(
                f"Metric '{self.name}' must be of a task whose labels are {' or '.join(self.takes)}. "
                f"Received: task '{task.name}', whose labels are {found}"
            )


@keras.saving.register_keras_serializable("mtl_zoo")
class PoissonDeviance(OfItems):
    """Mean of `2 (y log(y / p) - y + p)`: how much likelier the counts themselves are than predictions.

    Reference:
        [McCullagh and Nelder, 1989](https://doi.org/10.1201/9780203753736), section 6.2; scikit-learn's
        `mean_poisson_deviance`
    """

    takes = (NUMBERS, LISTS)

    def __init__(self, name="poisson_deviance", dtype=None):
        super().__init__(_deviance, name, dtype)


@keras.saving.register_keras_serializable("mtl_zoo")
class ClassDistance(OfItems):
    """Mean number of classes between the label and the likeliest class."""

    takes = (CLASSES,)

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(_distance, name, dtype)


@keras.saving.register_keras_serializable("mtl_zoo")
class PairwiseAccuracy(OfItems):
    """Mean over lists of the part of their pairs that the scores put in order; a tie counts one half."""

    takes = (LISTS,)

    def __init__(self, name="pairwise_accuracy", dtype=None):
        super().__init__(_in_order, name, dtype)


@keras.saving.register_keras_serializable("mtl_zoo")
class NDCG(OfItems):
    """Mean over lists of the normalized discounted cumulative gain, with gains `2^relevance - 1`.

    Candidates of one score share the discounts of their places, so that the order of a list does not matter.

    Args:
        k: Number of places that count. Defaults to `None`: all.
        name: Name of the metric. Defaults to `"ndcg"`, or `"ndcg_at_5"` with `k=5`.
        dtype: As for `keras.metrics.Metric`.

    Reference:
        [Burges et al., 2005](https://doi.org/10.1145/1102351.1102363), section 5
    """

    takes = (LISTS,)

    def __init__(self, k=None, name=None, dtype=None):
        self.k = None if k is None else arguments.integer("k", k, 1, arguments.ENTRIES)
        super().__init__(_ndcg, name or ("ndcg" if k is None else f"ndcg_at_{k}"), dtype, k=self.k)

    def get_config(self):
        """Return the arguments."""
        return super().get_config() | {"k": self.k}


def pairs(relevance):
    """Return where candidate `i` of a list is to be above `j`, boolean `[lists, i, j]`.

    Args:
        relevance: Tensor `[lists, candidates]`, NaN or below 0 where there is no candidate.
    """
    there = ops.logical_not(is_missing(relevance))
    above = relevance[:, :, None] > relevance[:, None, :]
    return ops.logical_and(above, there[:, None, :])


def mean_over_pairs(relevance, values):
    """Return the means of values `[lists, i, j]` over the pairs of every list; 0 without pairs."""
    of_pairs = pairs(relevance)
    sums = ops.sum(ops.where(of_pairs, values, 0.0), axis=(1, 2))
    return ops.divide_no_nan(sums, ops.sum(ops.cast(of_pairs, "float32"), axis=(1, 2)))


def _deviance(labels, predictions):
    least = keras.config.epsilon()
    logs = ops.log(ops.maximum(labels, least)) - ops.log(ops.maximum(predictions, least))
    return ops.mean(2.0 * (labels * logs - labels + predictions), axis=-1)


def _distance(labels, predictions):
    classes = ops.cast(ops.argmax(predictions, axis=-1), "float32")
    return ops.abs(classes - ops.cast(labels, "float32"))


def _in_order(relevance, scores):
    ahead = scores[:, :, None] - scores[:, None, :]
    return mean_over_pairs(relevance, 0.5 * (1.0 + ops.sign(ahead)))


def _ndcg(relevance, scores, k=None):
    there = ops.logical_not(is_missing(relevance))
    known = ops.where(there, relevance, 0.0)
    largest = ops.max(known, axis=-1, keepdims=True)  # divided by 2^largest, no gain overflows
    gains = ops.where(there, ops.power(2.0, known - largest) - ops.power(2.0, -largest), 0.0)
    place = ops.arange(relevance.shape[-1], dtype="float32")
    discounts = ops.where(place < (k or relevance.shape[-1]), 1.0 / ops.log2(2.0 + place), 0.0)
    found = ops.sum(gains * _shared(discounts, scores, there), axis=-1)
    best = ops.sum(ops.flip(ops.sort(gains, axis=-1), axis=-1) * discounts, axis=-1)
    return ops.divide_no_nan(found, best)


def _shared(discounts, scores, there):
    """Return the discounts of candidates by their scores; those of one score share that of their places."""

    def number(ahead):
        return ops.sum(ops.cast(ops.logical_and(ahead, there[:, None, :]), "int32"), axis=-1)

    above = number(scores[:, None, :] > scores[:, :, None])
    equal = number(scores[:, None, :] == scores[:, :, None])
    sums = ops.pad(ops.cumsum(discounts), [[1, 0]])
    total = ops.take(sums, above + equal) - ops.take(sums, above)
    return ops.divide_no_nan(total, ops.cast(equal, total.dtype))
