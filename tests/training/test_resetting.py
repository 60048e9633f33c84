import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.training.metrics import MeanPerTask
from mtl_zoo.training.resetting import Resetter


class Own(keras.metrics.Mean):
    """Counts how often it is reset, as only a call for itself can."""

    resets = 0

    def reset_state(self):
        self.resets += 1
        super().reset_state()


def test_all_metrics_start_anew_every_time():
    mean, auc, own = MeanPerTask(2), keras.metrics.AUC(num_thresholds=3, multi_label=True), Own()
    before = own.resets
    reset = Resetter([mean, auc, own], tf.distribute.get_strategy())
    for _ in range(3):
        mean.update_state([1.0, 2.0], [1.0, 1.0])
        auc.update_state(np.array([[0, 1]]), np.array([[0.2, 0.7]]))
        own.update_state(3.0)
        reset()
        for metric in (mean, auc, own):
            assert all(not float(tf.reduce_max(tf.abs(v.value))) for v in metric.variables)
    assert own.resets == before + 3
