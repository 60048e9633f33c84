import keras
import numpy as np
import pytest

from mtl_zoo.task import Task
from mtl_zoo.training.feed_search import build, find
from mtl_zoo.training.feeds import Batch, known

ANSWERS = Task.binary("answer")
NUMBERS = Task.regression("sizes", 2)


class Distance(keras.metrics.MeanAbsoluteError):
    """A metric that is not known, but whose right form is: that of its parent."""


def test_the_form_of_another_metric_is_found_and_leaves_out_what_is_missing():
    feed, metric = find(NUMBERS, Distance, "distance"), Distance()
    labels = np.array([[1.0], [2.0], [3.0], [0.0]], "float32")  # two examples of two numbers
    predictions = np.array([[1.5], [2.0], [5.0], [9.0]], "float32")
    there = np.array([1.0, 1.0, 1.0, 0.0], "float32")
    batch = Batch(*map(keras.ops.convert_to_tensor, (labels, predictions, there)), (2,))
    feed.update(NUMBERS, metric, batch)
    assert float(metric.result()) == pytest.approx((0.5 + 0.0 + 2.0) / 3)


def test_a_metric_that_takes_no_form_is_refused_with_its_own_words():
    class Stubborn(keras.metrics.Metric):
        def update_state(self, *_, **__):
            raise ValueError("never")

    with pytest.raises(ValueError, match=r"'stubborn'.*never"):
        find(ANSWERS, lambda: Stubborn(name="stubborn"), "stubborn")


def test_build_gives_a_metric_its_state():
    metric = keras.metrics.R2Score(class_aggregation=None)
    result = build(known(NUMBERS, metric), NUMBERS, metric)
    assert np.shape(result) == (2,)
