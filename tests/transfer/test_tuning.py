import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.transfer.networks import network, tuned

TASKS = [mz.Task.classification("left", 2), mz.Task.classification("right", 3)]


@pytest.fixture(scope="module")
def parts():
    base = network()
    models = [tuned(base, 1, left=2), tuned(base, 2, right=3)]
    x = np.random.default_rng(0).uniform(size=(40, 4, 4, 2)).astype("float32")
    merged = mz.transfer.merge(base, models, "task_arithmetic", 0.5)(x)
    labels = {name: np.argmax(merged[name], axis=-1) for name in ("left", "right")}
    return base, models, x, labels


def accuracy(logits, labels):
    return np.mean(np.argmax(logits, axis=-1) == labels)


def test_the_scale_whose_answers_are_the_labels_is_chosen(parts):
    base, models, x, labels = parts
    validation = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    found = mz.transfer.tune(base, models, TASKS, validation, scales=[-30.0, 0.5, 30.0])
    assert found.scale == 0.5
    assert list(found.scores) == [-30.0, 0.5, 30.0]
    for scale, score in found.scores.items():
        merged = mz.transfer.merge(base, models, scale=scale)(x)
        gains = [
            accuracy(merged[name], labels[name]) / accuracy(model(x)[name], labels[name]) - 1
            for name, model in zip(labels, models, strict=True)
        ]
        assert score == pytest.approx(100 * np.mean(gains), abs=1e-3)
    assert found.scores[0.5] == max(found.scores.values()) > min(found.scores.values())
    wanted = mz.transfer.merge(base, models, scale=0.5)(x)
    np.testing.assert_allclose(found.model(x)["left"], wanted["left"], atol=1e-5)


def test_what_is_refused(parts):
    base, models, x, labels = parts
    validation = tf.data.Dataset.from_tensor_slices((x, labels)).batch(16)
    with pytest.raises(ValueError, match="`scales` must hold finite numbers"):
        mz.transfer.tune(base, models, TASKS, validation, scales=[])
    with pytest.raises(ValueError, match=r"must name an output of `model`. Received tasks"):
        mz.transfer.tune(base, models, [*TASKS, mz.Task.binary("more")], validation, scales=[1.0])
