import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.training.metrics import MeanPerTask, SkippedSteps


def test_each_task_has_its_own_weighted_mean():
    mean = MeanPerTask(3)
    mean.update_state([1.0, 5.0, 2.0], sample_weight=[1.0, 1.0, 0.0])
    mean.update_state([4.0, 0.0, 3.0], sample_weight=[2.0, 0.0, 0.0])
    # (1 + 2 * 4) / 3, 5, and no weight at all
    assert mean.result().numpy() == pytest.approx([3.0, 5.0, np.nan], nan_ok=True)


def test_reset_forgets():
    mean = MeanPerTask(2)
    mean.update_state([1.0, 5.0], sample_weight=np.ones(2))
    mean.reset_state()
    mean.update_state([3.0, 4.0], sample_weight=np.ones(2))
    assert mean.result().numpy() == pytest.approx([3.0, 4.0])


def test_reasons_are_known_outside_of_the_replicas():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        skipped = SkippedSteps(["left", "right"])
        strategy.run(lambda: skipped.update_state([False, False], [False, False], 1.0))
        assert skipped.reasons() == {"a gradient or the state of a layer": 1}
        strategy.run(lambda: skipped.update_state([False, True], [True, True], 1.0))
        assert skipped.reasons() == {"the loss of task 'right'": 1, "the gradient of task 'left'": 1}
