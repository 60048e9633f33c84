"""What is forgotten of an old task while a new one is learned; `benchmarks/forgetting.py` in miniature."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

OLD, NEW = mz.Task.binary("old"), mz.Task.binary("new")
X = np.random.default_rng(0).uniform(-1.0, 1.0, (400, 4)).astype("float32")
Y = {"old": (X[:, 0] * X[:, 1] > 0).astype(int), "new": (X[:, 2] * X[:, 3] > 0).astype(int)}
DATA = tf.data.Dataset.from_tensors((X, Y)).repeat(100)


def train(model, tasks, data=DATA):
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(0.01), steps_per_execution=100)
    trainer.fit(data, epochs=2, verbose=0)


def accuracy(model, name):
    return np.mean((model.predict(X, verbose=0)[name][:, 0] > 0) == Y[name])


@pytest.fixture(scope="module")
def lost():
    """What each way loses of the old task's accuracy."""
    keras.utils.set_random_seed(0)
    encoder = mz.encoders.mlp(48)
    old = mz.architectures.hard_sharing(keras.Input((4,)), [OLD], encoder)
    train(old, [OLD])
    before, start = accuracy(old, "old"), old.get_weights()
    assert before > 0.9
    found = {}
    for way in ("fine-tuning", "teacher", "ewc"):
        old.set_weights(start)
        model, tasks, data = mz.transfer.add_task(old, NEW), [NEW], DATA
        if way == "teacher":
            teacher = mz.transfer.Teacher(old, [OLD])
            tasks, data = [NEW, *teacher.tasks], teacher.label(DATA)
        elif way == "ewc":
            model = mz.transfer.ewc(model, [OLD], DATA, strength=3.0, examples=400, seed=0)
        else:
            mz.transfer.freeze(model, tasks=["old"])
        train(model, tasks, data)
        old.trainable = True
        assert accuracy(model, "new") > 0.75, way
        found[way] = before - accuracy(model, "old")
    return found


def test_fine_tuning_forgets(lost):
    assert lost["fine-tuning"] > 0.1


@pytest.mark.parametrize("way", ["teacher", "ewc"])
def test_less_than_half_of_that_is_lost(lost, way):
    assert lost[way] < 0.5 * lost["fine-tuning"], lost
