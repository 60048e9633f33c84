import dataclasses
import inspect

import keras
import numpy as np
import pytest

from mtl_zoo import headlines, kind_metrics, metric_names
from mtl_zoo.task import Task

LABELS = np.array([0.0, 1.0, 1.0, 0.0])
OF_CLASSES = (np.eye(3), np.eye(3) * 0.8 + 0.05, np.roll(np.eye(3), 1, axis=0) * 0.8 + 0.05)
SPARSE = (np.arange(3), *OF_CLASSES[1:])
OF_TWO = (LABELS, np.abs(LABELS - 0.1), np.abs(LABELS - 0.9))
OF_NUMBERS = (
    np.array([[1.0], [2.0], [4.0]]),
    np.array([[1.1], [2.1], [3.9]]),
    np.array([[4.0], [2.0], [1.0]]),
)
ROWS = (
    np.array([[1.0, 2.0], [3.0, 1.0]]),
    np.array([[1.0, 2.1], [2.9, 1.0]]),
    -np.array([[1.0, 2.0], [3.0, 1.0]]),
)
INDICES = (np.array([0, 1, 1, 0]), np.array([0, 1, 1, 0]), np.array([1, 0, 0, 1]))
BETTER = {  # labels, good predictions, bad ones, and what the metric is made with
    "Accuracy": (INDICES, ()),
    "BinaryAccuracy": (OF_TWO, ()),
    "CategoricalAccuracy": (OF_CLASSES, ()),
    "SparseCategoricalAccuracy": (SPARSE, ()),
    "TopKCategoricalAccuracy": (OF_CLASSES, (1,)),
    "SparseTopKCategoricalAccuracy": (SPARSE, (1,)),
    "AUC": (OF_TWO, ()),
    "Precision": (OF_TWO, ()),
    "Recall": (OF_TWO, ()),
    "PrecisionAtRecall": (OF_TWO, (0.5,)),
    "RecallAtPrecision": (OF_TWO, (0.6,)),
    "SensitivityAtSpecificity": (OF_TWO, (0.5,)),
    "SpecificityAtSensitivity": (OF_TWO, (0.5,)),
    "TruePositives": (OF_TWO, ()),
    "TrueNegatives": (OF_TWO, ()),
    "FalsePositives": (OF_TWO, ()),
    "FalseNegatives": (OF_TWO, ()),
    "F1Score": (OF_CLASSES, ("macro",)),
    "FBetaScore": (OF_CLASSES, ("macro",)),
    "IoU": (INDICES, (2, [1])),
    "BinaryIoU": (OF_TWO, ()),
    "MeanIoU": (INDICES, (2,)),
    "OneHotIoU": (OF_CLASSES, (3, [1])),
    "OneHotMeanIoU": (OF_CLASSES, (3,)),
    "CosineSimilarity": (ROWS, ()),
    "R2Score": (OF_NUMBERS, ()),
    "ConcordanceCorrelation": (tuple(x.T for x in OF_NUMBERS), ()),
    "PearsonCorrelation": (tuple(x.T for x in OF_NUMBERS), ()),
    "MeanSquaredError": (OF_NUMBERS, ()),
    "RootMeanSquaredError": (OF_NUMBERS, ()),
    "MeanAbsoluteError": (OF_NUMBERS, ()),
    "MeanAbsolutePercentageError": (OF_NUMBERS, ()),
    "MeanSquaredLogarithmicError": (OF_NUMBERS, ()),
    "LogCoshError": (OF_NUMBERS, ()),
    "Poisson": (OF_NUMBERS, ()),
    "KLDivergence": (OF_CLASSES, ()),
    "Hinge": (OF_TWO, ()),
    "SquaredHinge": (OF_TWO, ()),
    "CategoricalHinge": (OF_CLASSES, ()),
    "BinaryCrossentropy": (OF_TWO, ()),
    "CategoricalCrossentropy": (OF_CLASSES, ()),
    "SparseCategoricalCrossentropy": (SPARSE, ()),
    "PoissonDeviance": (OF_NUMBERS, ()),
    "ClassDistance": (SPARSE, ()),
    "PairwiseAccuracy": (tuple(x.T for x in OF_NUMBERS), ()),
    "NDCG": (tuple(x.T for x in OF_NUMBERS), ()),
}
WITHOUT = {"Metric", "Mean", "Sum", "MeanMetricWrapper"}  # of any values, which may be good or bad


def known_metrics():
    found = {name: kind for name, kind in vars(keras.metrics).items() if inspect.isclass(kind)}
    ours = {name: kind for name, kind in vars(kind_metrics).items() if inspect.isclass(kind)}
    return {name: kind for name, kind in (found | ours).items() if name not in WITHOUT | {"OfItems"}}


@pytest.mark.parametrize(("name", "kind"), known_metrics().items())
def test_the_direction_of_every_metric_is_that_of_better_predictions(name, kind):
    (labels, good, bad), given = BETTER[name]
    better, worse = (
        float(np.sum(kind(*given)(labels.astype("float32"), predictions.astype("float32"))))
        for predictions in (good, bad)
    )
    assert headlines.sign_of(kind(*given)) == np.sign(better - worse)


def test_directions_of_functions_and_of_own_metrics():
    class Own(keras.metrics.Mean):
        pass

    class OwnError(keras.metrics.MeanAbsoluteError):
        pass

    def strange(labels, outputs):
        return labels - outputs

    def hamming_loss(labels, outputs):
        return labels != outputs

    assert headlines.sign_of(Own()) is None
    assert headlines.sign_of(OwnError()) == -1
    functions = {
        keras.losses.mean_squared_error: -1,
        keras.losses.huber: -1,
        hamming_loss: -1,
        strange: None,
        keras.losses.cosine_similarity: None,  # minus the metric of that name
    }
    for function, sign in functions.items():
        assert headlines.sign_of(metric_names.of_values(function)()) == sign


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (Task.classification("t", 3), {"accuracy": 1}),
        (Task.tagging("t", 3), {"accuracy": 1}),
        (Task.binary("t"), {"auc": 1}),
        (Task.binary("t", metrics=["accuracy"]), {"accuracy": 1}),
        (Task.binary("t", metrics=["accuracy", keras.metrics.AUC(name="area")]), {"area": 1}),
        (Task.multilabel("t", 3), {"auc": 1}),
        (Task.ordinal("t", 3), {"mean_absolute_error": -1}),
        (Task.segmentation("t", 3), {"mean_iou": 1}),
        (Task.regression("t"), {"mean_absolute_error": -1}),
        (Task.regression("t", metrics=[keras.metrics.Mean, "mse"]), {"mse": -1}),
        (Task.dense_regression("t", 1), {"mean_absolute_error": -1}),
        (Task.count("t"), {"poisson_deviance": -1}),
        (Task.ranking("t", 3), {"ndcg": 1}),
        (Task.regression("t", metrics=[]), {"loss": -1}),
        (
            Task.regression("t", headline=["loss", "root_mean_squared_error"]),
            {"loss": -1, "root_mean_squared_error": -1},
        ),
        (
            Task.multilabel("t", 3, metrics=[keras.metrics.F1Score()], headline=["f1_score_2"]),
            {"f1_score_2": 1},
        ),
        (Task.regression("t", metrics=[keras.metrics.Mean], headline={"mean": "max"}), {"mean": 1}),
        (dataclasses.replace(Task.binary("t"), headline={"own": "min"}), {"own": -1}),
    ],
    ids=range(18),
)
def test_headline_metrics(task, expected):
    assert headlines.headline_metrics(task) == expected


def test_every_constructor_takes_a_headline_and_replace_and_saving_keep_it():
    sizes = {"classification": 3, "ordinal": 3, "tagging": 3, "segmentation": 3, "multilabel": 3}
    sizes |= {"ranking": 3, "dense_regression": 3}
    for kind in ("binary", "regression", "count", *sizes):
        given = (sizes[kind],) if kind in sizes else ()
        task = getattr(Task, kind)("t", *given, headline=["loss"])
        assert dataclasses.replace(task, name="u").headline == ("loss",)
        assert Task.from_config(task.get_config()).headline == ("loss",)
        assert hash(task) == hash(getattr(Task, kind)("t", *given, headline=["loss"])) or task.metrics
    declared = Task.binary("t", headline={"own": "max"})
    assert Task.from_config(declared.get_config()).headline == {"own": "max"}
    old = declared.get_config()
    del old["headline"]  # of a file of an earlier version
    assert Task.from_config(old).headline is None


@pytest.mark.parametrize("headline", ["auc", [], {}, [1], {"auc": "up"}, {"auc": 1}, {1: "max"}, 3])
def test_a_headline_is_names_or_directions(headline):
    with pytest.raises(ValueError, match=r"`headline` must .*Received"):
        Task.binary("t", headline=headline)


def test_what_is_not_known_is_refused():
    task = Task.binary("t", headline=["recall"])
    with pytest.raises(
        ValueError, match=r"`headline` of task 't' must name metrics among \['accuracy', 'auc', 'loss'\]"
    ):
        headlines.headline_metrics(task)
    for task in (
        Task.binary("t", metrics=[keras.metrics.Mean]),
        Task.binary("t", metrics=["accuracy", keras.metrics.Mean], headline=["mean"]),
    ):
        with pytest.raises(
            ValueError, match=r"metric 'mean' of task 't' is better must be declared: `headline=\{"
        ):
            headlines.headline_metrics(task)
