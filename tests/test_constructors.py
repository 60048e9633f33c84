import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)


def test_a_loss_of_lists_may_be_another():
    def listwise(labels, scores):
        return -tf.reduce_sum(tf.nn.log_softmax(scores) * tf.where(labels > 0, labels, 0.0), axis=-1)

    task = mz.Task.ranking("hits", 4, loss=listwise)
    assert np.isfinite(task.compute_loss([[2.0, 0, 1, np.nan]], np.ones((1, 4), "float32")))
    with pytest.raises(ValueError, match=r"`loss` of `Task\.ranking` must give one number per list of 4"):
        mz.Task.ranking("hits", 4, loss="mse")


@pytest.mark.parametrize("missing", [False, True])
def test_label_smoothing_is_that_of_keras(missing):
    labels, logits = np.array([2, 0, 1, 1]), RANDOM.normal(size=(4, 3)).astype("float32")
    smooth = {"from_logits": True, "label_smoothing": 0.2}
    expected = keras.losses.CategoricalCrossentropy(**smooth)(np.eye(3)[labels][missing:], logits[missing:])
    labels[:missing] = -1
    task = mz.Task.classification("kind", 3, label_smoothing=0.2)
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-6)
    yes = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]])
    expected = keras.losses.BinaryCrossentropy(**smooth)(yes, logits)
    for smoothed in (mz.Task.multilabel("tags", 3, label_smoothing=0.2),):
        np.testing.assert_allclose(smoothed.compute_loss(yes, logits), expected, rtol=1e-6)


def test_label_smoothing_is_for_the_default_loss():
    with pytest.raises(ValueError, match=r"`label_smoothing` must be that of the default loss"):
        mz.Task.binary("click", loss="binary_crossentropy", label_smoothing=0.1)
    with pytest.raises(TypeError, match=r"label_smoothing"):
        mz.Task.regression("price", label_smoothing=0.1)
