import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.training.feed_search import Probe, find
from mtl_zoo.training.feeds import Feed


@keras.saving.register_keras_serializable("tests")
class Largest(keras.metrics.Metric):
    """The largest label, in which weights play no part: right only without what is missing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.largest = self.add_variable((), "zeros", name="largest")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(keras.ops.maximum(self.largest, keras.ops.max(y_true)))

    def result(self):
        return 1.0 * self.largest


def test_the_first_form_that_is_right():
    task = mz.Task.regression("size")
    assert find(task, keras.metrics.MeanAbsoluteError, "error") == Feed(shaped=True)
    assert find(task, Largest, "largest").weights == "none"


def test_a_metric_that_suits_no_form_is_refused():
    with pytest.raises(ValueError, match="Metric 'iou' of task 'size' must"):
        find(mz.Task.regression("size"), lambda: keras.metrics.MeanIoU(0), "iou")


def test_probes_differ_in_what_is_there_alone():
    probe = Probe(mz.Task.classification("kind", 3))
    part = probe.without_examples()
    np.testing.assert_array_equal(part.predictions, probe.whole.predictions)
    assert float(np.sum(part.weights)) == len(probe.part.weights)
    assert len(set(map(int, probe.whole.labels))) == 3
