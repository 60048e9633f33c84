"""The metrics that a task is judged by, and whether more or less of them is better."""

import keras

from mtl_zoo import arguments, kind_metrics, kinds

# Names of classes and functions, without case and underscores.
UP = {
    *("accuracy", "binaryaccuracy", "categoricalaccuracy", "sparsecategoricalaccuracy"),
    *("topkcategoricalaccuracy", "sparsetopkcategoricalaccuracy", "pairwiseaccuracy"),
    *("auc", "gauc", "precision", "recall", "precisionatrecall", "recallatprecision"),
    *("sensitivityatspecificity", "specificityatsensitivity", "truepositives", "truenegatives"),
    *("f1score", "fbetascore", "iou", "binaryiou", "meaniou", "onehotiou", "onehotmeaniou", "ndcg"),
    *("cosinesimilarity", "r2score", "concordancecorrelation", "pearsoncorrelation"),
}
DOWN = {
    *("meansquarederror", "rootmeansquarederror", "meanabsoluteerror", "meanabsolutepercentageerror"),
    *("meansquaredlogarithmicerror", "logcosherror", "logcosh", "huber", "poisson", "poissondeviance"),
    *("kldivergence", "hinge", "squaredhinge", "categoricalhinge", "classdistance"),
    *("binarycrossentropy", "categoricalcrossentropy", "sparsecategoricalcrossentropy"),
    *("binaryfocalcrossentropy", "categoricalfocalcrossentropy", "dice", "tversky"),
    *("falsepositives", "falsenegatives", "hammingloss", "hammingdistance", "logloss"),
}
SIGNS = {"max": 1, "min": -1}
LOSS = "loss"  # the key in the logs of what is trained
# Classes of the metrics by which kinds of tasks are judged, where they are measured; of others the first.
OF_KINDS = {
    "binary": keras.metrics.AUC,
    "multilabel": keras.metrics.AUC,
    "segmentation": keras.metrics.MeanIoU,
    "ordinal": kind_metrics.ClassDistance,
    "count": kind_metrics.PoissonDeviance,
    "ranking": kind_metrics.NDCG,
}


def headline_metrics(task):
    """Return the metrics that a task is judged by: 1 if more of one is better, -1 if less.

    They are those of `Task.headline`. Where it is `None`, one is chosen among those that are measured: the
    area under the curve of yes-or-no tasks, the mean IoU of a segmentation, the mean distance of ordered
    classes, the deviance of counts, the NDCG of a ranking; of other tasks, and where that is not measured,
    the first metric whose direction is known; the loss of a task without metrics. In the logs
    their names follow the task's: `click_auc`.

    Args:
        task: `Task`.

    Returns:
        Dict from names of metrics, in which `"loss"` is the task's loss, to 1 or -1.

    Raises:
        ValueError: If `headline` names a metric that the task does not have, or a direction is neither known
            nor declared.

    Example:

    >>> from mtl_zoo import Task
    >>> headline_metrics(Task.binary("click")), headline_metrics(Task.regression("price"))
    ({'auc': 1}, {'mean_absolute_error': -1})
    >>> headline_metrics(Task.classification("kind", 3, headline=["accuracy", "loss"]))
    {'accuracy': 1, 'loss': -1}
    """
    if isinstance(task.headline, dict):
        return {name: SIGNS[direction] for name, direction in task.headline.items()}
    metrics = {metric.name: metric for metric in task.make_metrics()}
    if task.headline is not None:
        return {name: _known_sign(task, name, metrics) for name in task.headline}
    preferred = OF_KINDS.get(kinds.kind_of(task), ())
    found = [name for name, metric in metrics.items() if isinstance(metric, preferred)]
    found += [name for name, metric in metrics.items() if sign_of(metric)]
    name = found[0] if found else next(iter(metrics), LOSS)
    return {name: _known_sign(task, name, metrics)}


def sign_of(metric):
    """Return 1 if more of a metric is better, -1 if less, `None` if that is not known of its kind.

    Args:
        metric: `keras.metrics.Metric`.

    Example:

    >>> sign_of(keras.metrics.MeanIoU(2)), sign_of(keras.metrics.Hinge()), sign_of(keras.metrics.Sum())
    (1, -1, None)
    """
    function = getattr(metric, "_fn", None)
    names = [kind.__name__ for kind in type(metric).__mro__]
    if hasattr(function, "__name__") and not _is_negated(function):
        names.append(function.__name__)
    plain = [name.replace("_", "").lower() for name in names]
    return next((1 if name in UP else -1 for name in plain if name in UP | DOWN), None)


def check(headline):
    """Return the `headline` of a task in the form in which it is kept: `None`, a tuple or a dict.

    Raises:
        ValueError: If it is neither `None`, nor names, nor a dict from names to `"max"` or `"min"`; or empty.
    """
    if headline is None:
        return None
    if isinstance(headline, dict):
        found = {
            arguments.text("headline", name): arguments.option("headline", direction, tuple(SIGNS))
            for name, direction in headline.items()
        }
    else:
        found = arguments.texts("headline", headline)
    if not found:
        raise ValueError(f"`headline` must name at least one metric. Received: headline={headline!r}")
    return found


def _known_sign(task, name, metrics):
    """Return the sign of a metric by its name; `f1_score_0` is one of the numbers of `f1_score`."""
    if name == LOSS:
        return -1
    owner = metrics.get(name) or next((metrics[key] for key in metrics if name.startswith(f"{key}_")), None)
    if owner is None:
        known = [*metrics, LOSS]
        raise ValueError(
            f"`headline` of task '{task.name}' must name metrics among {known}. Received: {name!r}"
        )
    sign = sign_of(owner)
    if sign is None:
        raise ValueError(
            f"Whether more of metric '{name}' of task '{task.name}' is better must be declared: "
            f"`headline={{'{name}': 'max'}}`, or 'min', as an argument of the task's constructor. Received: "
            f"{type(owner).__name__}, of which it is not known"
        )
    return sign


def _is_negated(function):
    """Return whether it is Keras' loss of that name, which is -1 where its metric is 1."""
    return function is keras.losses.cosine_similarity
