import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training.feed_search import Probe, find
from mtl_zoo.training.feeds import Feed


class PlainMean(keras.metrics.Mean):
    """The mean label, in which weights play no part: right only without what is missing."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true)


class Refusing(keras.metrics.Mean):
    """Takes nothing."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        raise ValueError("not this")


def test_the_first_form_that_is_right():
    task = mz.Task.regression("size")
    assert find(task, keras.metrics.MeanAbsoluteError, "error") == Feed(shaped=True)
    assert find(task, PlainMean, "plain").weights == "none"


def test_a_metric_that_suits_no_form_is_refused():
    with pytest.raises(
        ValueError, match=r"Metric 'odd' of task 'size' must take labels .* which answers: not this"
    ):
        find(mz.Task.regression("size"), Refusing, "odd")


def test_probes_differ_in_what_is_there_alone():
    probe = Probe(mz.Task.classification("kind", 3))
    part = probe.without_examples()
    np.testing.assert_array_equal(part.predictions, probe.whole.predictions)
    assert float(np.sum(part.weights)) == len(probe.part.weights)
    assert len(set(map(int, probe.whole.labels))) == 3
