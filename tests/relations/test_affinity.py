import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.relations.affinity import Affinity
from mtl_zoo.relations.group import group
from tests.callbacks.test_gradient_monitor import HEADS, SHARED, TASKS, X, Y, linear_trainer

RATE = 0.1
NAMES = tuple(task.name for task in TASKS)


def labelled(rows):
    """Return inputs and labels of some examples by task, without those that have no label."""
    found = [(X[rows], Y[name][rows]) for name in NAMES]
    return [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in found]


def loss_of(shared, head, x, y):
    return np.mean((x @ shared @ head - y[:, np.newaxis]) ** 2)


def gradients_of(shared, head, x, y):
    error = 2 * (x @ shared @ head - y[:, np.newaxis]) / len(y)
    return x.T @ error @ head.T, (x @ shared).T @ error


def by_hand(batches, shared_rate=1.0):
    """Return the mean affinities along a training by gradient descent, in float64."""
    shared, *heads = (np.array(w, "float64") for w in (SHARED, *HEADS))
    measured = np.full((len(batches), 2, 2), np.nan)
    for number, rows in enumerate(batches):
        data = labelled(rows)
        there = [index for index, (_, y) in enumerate(data) if len(y)]
        gradients = {index: gradients_of(shared, heads[index], *data[index]) for index in there}
        for one in there:
            ahead = shared - shared_rate * RATE * gradients[one][0]
            for other in there:
                before, after = (loss_of(w, heads[other], *data[other]) for w in (shared, ahead))
                measured[number, one, other] = 1 - after / before
        shared = shared - shared_rate * RATE * sum(found[0] for found in gradients.values())
        heads = [
            head - RATE * gradients[index][1] if index in there else head for index, head in enumerate(heads)
        ]
    return np.nanmean(measured, axis=0)


@pytest.mark.parametrize(
    ("compile", "arguments"),
    [
        ({"run_eagerly": True}, {}),
        ({"run_eagerly": True, "shared_rate": 0.5}, {"balancer": None}),
        ({"jit_compile": True}, {"accumulate": 3}),
    ],
    ids=["eager", "two rates", "XLA, in portions"],
)
def test_affinities_are_those_of_the_paper(compile, arguments):
    """Of three batches the last has no label of the first task."""
    size = 3 // arguments.get("accumulate", 1)
    trainer = linear_trainer(SHARED, HEADS, keras.optimizers.SGD(RATE), compile, **arguments)
    order = [0, 1, 2, 2, 0, 3, 3, 3, 3]
    affinity = Affinity(every=1)
    labels = {name: y[order] for name, y in Y.items()}
    trainer.fit(X[order], labels, batch_size=size, shuffle=False, callbacks=[affinity], verbose=0)
    wanted = by_hand([order[:3], order[3:6], order[6:]], compile.get("shared_rate", 1.0))
    assert affinity.matrix.names == NAMES
    np.testing.assert_allclose(affinity.matrix.values, wanted, rtol=1e-4, atol=5e-7)
    np.testing.assert_array_equal(affinity.state[1], [2, 2, 2, 3])
    assert trainer.problem.observers == ()


def noisy_trainer():
    """A model with random numbers and statistics, methods with state, and metrics."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((2,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(4)(inputs))
    hidden = keras.layers.Dropout(0.5, seed=3)(hidden)
    model = keras.Model(inputs, {task.name: mz.heads.head(hidden, task) for task in TASKS})
    trainer = mz.Trainer(model, TASKS, mz.balancers.FAMO(), mz.aggregators.PCGrad(seed=0))
    trainer.compile("adam")
    return trainer


def test_training_is_the_one_that_it_would_be_without():
    trainers = [noisy_trainer(), noisy_trainer()]
    affinity = Affinity(every=2)
    histories = [
        trainer.fit(X, Y, batch_size=2, epochs=2, shuffle=False, callbacks=callbacks, verbose=0).history
        for trainer, callbacks in zip(trainers, ([], [affinity]), strict=True)
    ]
    assert histories[0] == histories[1]
    plain, watched = ([*trainer.variables, *trainer.optimizer.variables] for trainer in trainers)
    for one, other in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(one, other)
    assert affinity.state[1].tolist() == [2, 2, 2, 2]  # before updates 0 and 2 of 4


def test_a_pair_that_never_meets_is_not_known():
    trainer = linear_trainer(SHARED, HEADS)
    affinity = Affinity(every=1)
    labels = {"first": Y["first"][[0, 3]], "second": np.array([np.nan, 1.0], "float32")}
    trainer.fit(X[[0, 3]], labels, batch_size=1, shuffle=False, callbacks=[affinity], verbose=0)
    assert np.isnan(affinity.matrix.values).tolist() == [[False, True], [True, False]]
    with pytest.raises(ValueError, match="such as two that have labels in the same batch"):
        group(affinity, 2)


def test_is_given_to_the_fit_of_a_trainer_in_a_list():
    trainer = linear_trainer(SHARED, HEADS)
    callbacks = keras.callbacks.CallbackList
    for model in (trainer, trainer.model):
        with pytest.raises(TypeError, match=r"must be given to `mtl_zoo.Trainer.fit` in a list"):
            callbacks([Affinity()], model=model)
    with pytest.raises(ValueError, match=r"must have been given to `Trainer\.fit`"):
        Affinity().matrix  # noqa: B018


def test_needs_two_tasks_and_leaves_a_trainer_after_an_error():
    inputs = keras.Input((2,))
    outputs = {name: keras.layers.Dense(1)(inputs) for name in NAMES}
    for tasks, message in ((TASKS[:1], "two tasks at least"), (TASKS, "variables that two tasks share")):
        trainer = mz.Trainer(keras.Model(inputs, outputs), tasks)
        trainer.compile("sgd", run_eagerly=True)
        with pytest.raises(ValueError, match=message):
            trainer.fit(X, Y, callbacks=[Affinity()], verbose=0)
        assert trainer.problem.observers == ()


class Seeds(keras.callbacks.Callback):
    """Begins a new training of another draw every few batches, and keeps what was measured of the last.

    Args:
        affinity: `Affinity`.
        steps: Number of batches of a training.
    """

    def __init__(self, affinity, steps):
        super().__init__()
        self.affinity, self.steps, self.matrices = affinity, steps, []

    def on_train_batch_end(self, batch, logs=None):
        if (batch + 1) % self.steps == 0:
            self.matrices.append(self.affinity.matrix)
            self.affinity.state = np.zeros_like(self.affinity.state)
            for layer in self.model.model.layers:
                if isinstance(layer, keras.layers.Dense):
                    layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
                    layer.bias.assign(0 * layer.bias)


def draw(seed, rows=256):
    """Return inputs, and labels of six tasks of which three each follow from one of two hidden factors."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 8))
    factors = x @ np.linalg.qr(random.normal(size=(8, 2)))[0]
    scales = random.uniform(0.5, 1.5, 6)
    y = factors[:, [0, 0, 0, 1, 1, 1]] * scales + 0.1 * random.normal(size=(rows, 6))
    return x.astype("float32"), y.astype("float32")


def test_two_known_groups_of_six_tasks_are_found_in_ten_of_ten_seeds():
    """One network, compiled once, is trained on ten draws, one after the other."""
    keras.utils.set_random_seed(0)
    tasks = [mz.Task.regression(f"task_{index}") for index in range(6)]
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, activation="tanh")(inputs)
    outputs = {task.name: keras.layers.Dense(1, kernel_initializer="zeros")(hidden) for task in tasks}
    trainer = mz.Trainer(keras.Model(inputs, outputs), tasks)
    trainer.compile(keras.optimizers.SGD(0.05))
    draws = [draw(seed) for seed in range(10)]
    x, y = (np.concatenate([array for found in draws for array in [found[part]] * 5]) for part in (0, 1))
    labels = {task.name: y[:, index] for index, task in enumerate(tasks)}
    affinity = Affinity(every=2)
    seeds = Seeds(affinity, steps=40)  # five epochs of eight batches
    trainer.fit(x, labels, batch_size=32, shuffle=False, callbacks=[affinity, seeds], verbose=0)
    assert len(seeds.matrices) == 10
    halves = tuple(tuple(f"task_{index}" for index in range(start, start + 3)) for start in (0, 3))
    assert [group(matrix, 2).groups for matrix in seeds.matrices] == [halves] * 10


REPLICAS = """
import json, sys
import keras, numpy as np, tensorflow as tf
cpu, *_ = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import mtl_zoo as mz
tasks = [mz.Task.regression(name) for name in "abc"]
x = np.linspace(-1, 1, 32).reshape(8, 4).astype("float32")
y = {"a": x[:, 0], "b": x[:, 1] ** 2, "c": np.where(np.arange(8) % 3 == 0, np.nan, x[:, 2])}
weights, matrices = [], []
one, two = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for strategy, watched in ((one, True), (two, True), (two, False)):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        encoder = mz.encoders.mlp(3, activation="tanh")
        model = mz.architectures.hard_sharing(keras.Input((4,)), tasks, encoder)
        trainer = mz.Trainer(model, tasks)
        trainer.compile(keras.optimizers.SGD(0.1))
        affinity = mz.relations.Affinity(every=2)
        callbacks = [affinity][:watched]
        trainer.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
        if watched:
            matrices.append([affinity.matrix.values.tolist(), [x.tolist() for x in affinity.state]])
            affinity.state = affinity.state
            assert [x.tolist() for x in affinity.state] == matrices[-1][1]
for watched, unwatched in zip(weights[1], weights[2], strict=True):
    np.testing.assert_array_equal(watched, unwatched)
print(json.dumps(matrices))
"""


@pytest.mark.slow
def test_two_replicas_measure_what_one_device_does():
    run = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=True)
    (one, _), (two, _) = json.loads(run.stdout.splitlines()[-1])
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-6)
    assert np.abs(one).min() > 1e-5
