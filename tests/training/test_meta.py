"""Weights that are learned from a second batch, against the same in NumPy."""

import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.balancers import MOML, AutoLambda

NAMES = "abc"
TASKS = [dataclasses.replace(mz.Task.regression(name), metrics=()) for name in NAMES]
RATE = 0.05
RANDOM = np.random.default_rng(0)
X, META_X = RANDOM.normal(size=(24, 3)), RANDOM.normal(size=(10, 3))
Y = {name: RANDOM.normal(size=24) for name in NAMES}
META_Y = {name: RANDOM.normal(size=10) for name in NAMES}
Y["b"][[1, 2, 5]] = META_Y["b"][[0, 7]] = np.nan
Y["c"][8:16] = np.nan  # no label in the second batch
META_Y["a"][5:] = np.nan  # nor in each second one of meta data
EAGER = {"run_eagerly": True}


def as_float32(x, y):
    return x.astype("float32"), {name: values.astype("float32") for name, values in y.items()}


def dataset(x, y, size):
    return tf.data.Dataset.from_tensor_slices(as_float32(x, y)).batch(size)


def generator():
    return (
        tf.nest.map_structure(np.array, batch) for batch in itertools.chain(*[list(dataset(X, Y, 8))] * 2)
    )


def model():
    """All tasks are linear, in features that are linear in x."""
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, use_bias=False)(inputs)
    return keras.Model(inputs, {name: keras.layers.Dense(1, use_bias=False)(shared) for name in NAMES})


def start():
    random = np.random.default_rng(1)
    return [random.normal(size=shape) for shape in [(3, 2), (2, 1), (2, 1), (2, 1)]]


def losses_and_gradients(weights, x, y):
    """Return the losses of the tasks and their gradients; 0 without labels."""
    losses, rows = [], []
    shared, *heads = weights
    for index, name in enumerate(NAMES):
        there = np.isfinite(y[name])
        number, inputs, head = max(there.sum(), 1), x[there], heads[index]
        error = inputs @ shared @ head - y[name][there, None]
        row = [np.zeros_like(weight) for weight in weights]
        row[0] = 2 / number * inputs.T @ error @ head.T
        row[index + 1] = 2 / number * (inputs @ shared).T @ error
        losses.append((error**2).sum() / number)
        rows.append(row)
    return np.array(losses), rows


def product(row, other):
    return sum((a * b).sum() for a, b in zip(row, other, strict=True))


def moved(weights, rows, factors):
    steps = [sum(f * row[k] for f, row in zip(factors, rows, strict=True)) for k in range(len(weights))]
    return [weight - RATE * step for weight, step in zip(weights, steps, strict=True)]


class Adam:
    """Adam in float64, in which some numbers may be left out of a step."""

    def __init__(self, rate):
        self.rate, self.first, self.second, self.steps = rate, np.zeros(3), np.zeros(3), np.zeros(3)

    def step(self, values, gradient, present):
        self.steps[present] += 1
        self.first[present] = (0.9 * self.first + 0.1 * gradient)[present]
        self.second[present] = (0.999 * self.second + 0.001 * gradient**2)[present]
        with np.errstate(all="ignore"):
            mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
            return np.where(present, values - self.rate * mean / (np.sqrt(square) + 1e-8), values)


def by_hand(weigh, learn, batches, metas):
    """Train in float64; return the weights of the model and the state that is learned."""
    weights = start()
    state = learn(None)
    for (x, y), (meta_x, meta_y) in zip(batches, metas, strict=True):
        present, meta_present = ([np.isfinite(z[name]).any() for name in NAMES] for z in (y, meta_y))
        present, meta_present = np.array(present), np.array(meta_present)
        _, rows = losses_and_gradients(weights, x, y)
        ahead = moved(weights, rows, weigh(state, present))
        _, meta_rows = losses_and_gradients(ahead, meta_x, meta_y)
        slopes = np.array([[-RATE * product(meta, row) for row in rows] for meta in meta_rows])
        state = learn(state, slopes, present, meta_present)
        weights = moved(weights, rows, weigh(state, present))
    return weights, state


def auto_lambda(rate, counted):
    adam = Adam(rate)

    def learn(state, slopes=None, present=None, meta_present=None):
        if state is None:
            return np.full(3, 0.1)
        seen = (meta_present & (counted > 0)).any()
        return np.maximum(adam.step(state, counted @ slopes, present & seen), 0.0)

    return lambda state, present: present * state, learn


def softmax(logits, present):
    shares = present * np.exp(logits)
    return shares / shares.sum()


def moml(rate):
    adam = Adam(rate)

    def learn(state, slopes=None, present=None, meta_present=None):
        if state is None:
            return np.zeros(3)
        shares = softmax(state, present)
        rows = (slopes @ (np.diag(shares) - np.outer(shares, shares)))[meta_present]
        best = shortest(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        return adam.step(state, best @ rows, present & meta_present.any())

    return softmax, learn


def shortest(rows):
    """Return the weights of the shortest convex combination, by search on a grid that is made finer."""
    center, width = np.full(len(rows), 1 / len(rows)), 1.0
    for _ in range(40):
        steps = np.linspace(-width, width, 9)
        free = np.array(list(itertools.product(steps, repeat=len(rows) - 1))) + center[:-1]
        points = np.column_stack([free, 1 - free.sum(axis=1)])
        points = points[(points > -1e-12).all(axis=1)]
        center = points[np.linalg.norm(points @ rows, axis=1).argmin()]
        width *= 0.6
    return center


def batches_of(size, epochs=2, goes_on=False):
    """Return batches of training and meta data; these begin anew with every epoch, or go on."""
    parts = [slice(k, k + size) for k in range(0, 24, size)]
    found = [(X[part], {name: y[part] for name, y in Y.items()}) for part in parts] * epochs
    halves = [slice(5), slice(5, 10)]
    metas = [(META_X[part], {name: y[part] for name, y in META_Y.items()}) for part in halves]
    drawn = list(itertools.islice(itertools.cycle(metas), len(found)))
    return found, drawn if goes_on else drawn[: len(parts)] * epochs


def trained(balancer, x=None, y=None, options=EAGER, meta=None, accumulate=1, **arguments):
    trainer = mz.Trainer(model(), TASKS, balancer, accumulate=accumulate)
    trainer.model.set_weights(start())
    trainer.compile(keras.optimizers.SGD(RATE), **options)
    data = {"x": dataset(X, Y, 8)} if x is None else {"x": x, "y": y}
    meta = dataset(META_X, META_Y, 5) if meta is None else meta
    arguments = {"epochs": 2, "verbose": 0, **arguments}
    history = trainer.fit(**data, meta_data=meta, **arguments).history
    return trainer, history


def check(trainer, state, expected):
    weights, wanted = expected
    np.testing.assert_allclose(state, wanted, rtol=2e-4, atol=2e-6)
    for one, other in zip(trainer.model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


WAYS = {
    "arrays, eagerly": lambda: {
        **dict(zip("xy", as_float32(X, Y), strict=True)),
        "batch_size": 8,
        "shuffle": False,
    },
    "dataset, several steps": lambda: {"options": {"steps_per_execution": 2}},
    "dataset, XLA": lambda: {"options": {"jit_compile": True}},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 3, "shuffle": False},
}


@pytest.mark.parametrize("way", WAYS)
def test_auto_lambda_in_every_way_to_train(way):
    trainer, _ = trained(AutoLambda(["a", "c"], 0.03), **WAYS[way]())
    hand = auto_lambda(0.03, np.array([1.0, 0.0, 1.0]))
    check(trainer, trainer.balancer.task_weights, by_hand(*hand, *batches_of(8, goes_on=way == "generator")))
    assert float(trainer.balancer.task_weights[1]) != pytest.approx(0.1, abs=0.01)


def test_moml():
    trainer, _ = trained(MOML(0.1))
    check(trainer, trainer.balancer.task_logits, by_hand(*moml(0.1), *batches_of(8)))


def test_portions_are_one_batch():
    trainer, _ = trained(AutoLambda(learning_rate=0.03), accumulate=2, x=dataset(X, Y, 4))
    check(trainer, trainer.balancer.task_weights, by_hand(*auto_lambda(0.03, np.ones(3)), *batches_of(8)))


def test_an_aggregator_leaves_the_look_as_it_is():
    """The first weights are those without one; what follows differs in the model."""
    options = {"epochs": 1, "steps_per_epoch": 1}
    found = []
    for aggregator, space in (
        (None, "shared"),
        (mz.aggregators.MoDo(), "shared"),
        (mz.aggregators.MGDA(), "representation"),
    ):
        trainer = mz.Trainer(model(), TASKS, AutoLambda(learning_rate=0.03), aggregator, space)
        trainer.model.set_weights(start())
        trainer.compile(keras.optimizers.SGD(RATE), **EAGER)
        trainer.fit(dataset(X, Y, 8), meta_data=dataset(META_X, META_Y, 5), verbose=0, **options)
        found.append(np.array(trainer.balancer.task_weights))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-5)
    assert np.ptp(found[0]) > 0.01


def test_rates_are_those_of_the_parts():
    """With a rate of 0 for what is shared, the weight of a task is moved by its own head alone."""
    trainer = mz.Trainer(model(), TASKS, AutoLambda(["a"], 0.03))
    trainer.model.set_weights(start())
    trainer.compile({"shared": keras.optimizers.SGD(0.0), "tasks": keras.optimizers.SGD(RATE)}, **EAGER)
    trainer.fit(
        dataset(X[:8], {k: v[:8] for k, v in Y.items()}, 8), meta_data=dataset(META_X, META_Y, 5), verbose=0
    )
    first, *others = np.array(trainer.balancer.task_weights)
    assert first != pytest.approx(0.1, abs=1e-3)
    assert others == pytest.approx([0.1, 0.1])


def test_nothing_else_is_written():
    """Statistics, seeds and optimizer: with weights that do not move, training is the plain one."""

    def run(balancer, **data):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        x = keras.layers.BatchNormalization()(keras.layers.Dense(4, "tanh", kernel_regularizer="l2")(inputs))
        x = keras.layers.Dropout(0.5)(x)
        trainer = mz.Trainer(
            keras.Model(inputs, {t.name: mz.heads.head(x, t) for t in TASKS}), TASKS, balancer
        )
        trainer.compile(keras.optimizers.Adam(0.01), **EAGER)
        trainer.fit(dataset(X, Y, 8), verbose=0, **data)
        return [np.array(v) for v in (*trainer.model.variables, *trainer.optimizer.variables)]

    looked = run(AutoLambda(learning_rate=1e-12, initial=0.5), meta_data=dataset(META_X, META_Y, 5))
    for one, other in zip(looked, run(mz.balancers.Static([0.5] * 3)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_meta_loss_that_is_not_finite_teaches_nothing():
    bad = {name: np.where(np.arange(10) == 7, 1e30, y) for name, y in META_Y.items()}  # in the second batch
    given = {"meta": dataset(META_X, bad, 5), "epochs": 1}
    one, _ = trained(AutoLambda(learning_rate=0.03), steps_per_epoch=1, **given)
    two, history = trained(AutoLambda(learning_rate=0.03), steps_per_epoch=2, **given)
    assert history["skipped_steps"] == [0]
    np.testing.assert_array_equal(two.balancer.task_weights, one.balancer.task_weights)
    assert not np.allclose(two.model.get_weights()[0], one.model.get_weights()[0])


def test_the_weight_of_noise_falls():
    """A task that learns its noise by heart has no weight on other data; the seed makes no difference."""
    random = np.random.default_rng(0)
    x, noise = random.normal(size=(64, 8)).astype("float32"), random.normal(size=64).astype("float32")
    labels = {"a": x.sum(axis=1) / 8**0.5, "b": noise}
    inputs = keras.Input((8,))
    shared = keras.layers.Dense(
        4, use_bias=False, kernel_initializer=keras.initializers.RandomNormal(0.0, 0.3, 0)
    )
    heads = {name: keras.layers.Dense(1, kernel_initializer="zeros")(shared(inputs)) for name in "ab"}
    trainer = mz.Trainer(keras.Model(inputs, heads), TASKS[:2], AutoLambda(learning_rate=0.01))
    trainer.compile(keras.optimizers.SGD(0.2))
    data = tf.data.Dataset.from_tensors((x, labels))
    train, meta = (data.unbatch().skip(k).take(n).batch(n) for k, n in ((0, 12), (12, 52)))
    trainer.fit(train.repeat(40), meta_data=meta, steps_per_epoch=40, verbose=0)
    signal, noise = np.array(trainer.balancer.task_weights)
    assert noise < 0.07 < 0.1 < signal
