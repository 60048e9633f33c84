import keras
import pytest

from mtl_zoo.task import Task
from mtl_zoo.training.feeds import Feed, known

CLASSES = Task.classification("kind", 3)
ANSWERS = Task.binary("answer")
NUMBERS = Task.regression("sizes", 2)


class Distance(keras.metrics.MeanAbsoluteError):
    """A metric that is not known, but whose right form is: that of its parent."""


@pytest.mark.parametrize(
    ("task", "metric", "feed"),
    [
        (CLASSES, keras.metrics.SparseCategoricalAccuracy(), Feed()),
        (CLASSES, keras.metrics.AUC(), Feed(one_hot=True)),
        (ANSWERS, keras.metrics.BinaryAccuracy(), Feed()),
        (NUMBERS, keras.metrics.R2Score(), Feed(shaped=True)),
        (NUMBERS, Distance(), None),
    ],
)
def test_forms_of_keras_metrics_are_known(task, metric, feed):
    assert known(task, metric) == feed
