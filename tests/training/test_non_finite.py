import dataclasses

import keras
import numpy as np
import pytest
from absl import logging

import mtl_zoo as mz

X = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
BALANCERS = mz.balancers
SOLVED = [
    BALANCERS.GeometricMean,
    BALANCERS.Logarithm,
    BALANCERS.FAMO,
    BALANCERS.IMTLL,
    BALANCERS.Uncertainty,
]
SOLVED += [BALANCERS.DTP, lambda: BALANCERS.STCH(nadir=[1.0, 1.0])]


def negative(labels, predictions):
    """Return losses in (-1, 0]."""
    return -keras.ops.exp(-keras.ops.mean(keras.ops.square(labels - predictions), axis=-1))


def fit(balancer, loss=None, easy=None, epochs=4):
    keras.utils.set_random_seed(0)
    tasks = [mz.Task.regression("easy"), mz.Task.regression("hard")]
    if loss is not None:
        tasks[0] = dataclasses.replace(tasks[0], loss=loss)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    solved = keras.layers.Dense(1, kernel_initializer="zeros")(hidden)
    model = keras.Model(inputs, {"easy": solved, "hard": keras.layers.Dense(1)(hidden)})
    trainer = mz.Trainer(model, tasks, balancer=balancer)
    trainer.compile(keras.optimizers.Adam(0.05))
    labels = {"easy": np.zeros(64) if easy is None else easy, "hard": 3 * X[:, 1]}
    return trainer.fit(X, labels, epochs=epochs, batch_size=16, verbose=0).history


@pytest.mark.parametrize("make", SOLVED)
def test_a_solved_task_does_not_stop_the_others(make):
    logs = fit(make())
    assert logs["easy_loss"] == [0.0] * 4
    assert logs["easy_weight"] == [0.0] * 4
    assert logs["hard_loss"][-1] < 0.8 * logs["hard_loss"][0]
    assert logs["skipped_steps"] == [0.0] * 4


@pytest.mark.parametrize("make", [*SOLVED, BALANCERS.DWA])
def test_a_negative_loss_is_named_once_and_the_others_train(make, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda message, *arguments: said.append(message % arguments))
    logs = fit(make(), negative, X[:, 0])
    assert max(logs["easy_loss"]) < 0
    assert logs["hard_loss"][-1] < 0.8 * logs["hard_loss"][0]
    assert len(said) == 1
    name = type(make()).__name__
    assert said[0].startswith(f"{name} needs losses of at least 0, and cannot balance")
    assert said[0].endswith(f"a mean loss of {logs['easy_loss'][0]:g} for task 'easy' in epoch 1.")


def test_nothing_is_said_where_any_loss_will_do(monkeypatch):
    monkeypatch.setattr(logging, "warning", lambda *arguments: pytest.fail(str(arguments)))
    for balancer in (None, BALANCERS.Equal(), BALANCERS.RLW(), BALANCERS.FAMO(min_losses=[-1.0, 0.0])):
        logs = fit(balancer, negative, X[:, 0])
    assert logs["easy_loss"][-1] < logs["easy_loss"][0] < 0  # FAMO trains it, from its minimum
    assert logs["easy_weight"][-1] > 0
