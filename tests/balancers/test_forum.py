"""Descent on meta data under a constraint, against the same in NumPy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.balancers import FORUM
from tests.callbacks.test_resume import At, assert_same, fail
from tests.harness import check_balancer, value_and_gradient
from tests.training.test_meta import (
    EAGER,
    META_X,
    META_Y,
    NAMES,
    RATE,
    TASKS,
    Adam,
    X,
    Y,
    as_float32,
    batches_of,
    check,
    dataset,
    losses_and_gradients,
    model,
    softmax,
    start,
    trained,
)

EPSILON = 1e-8
SETTINGS = {"learning_rate": 0.03, "virtual_steps": 3, "virtual_rate": 0.04, "rho": 0.2}


def best_training_weight(shares, products, squared, rho):
    """Return the best weight of the constraint for weights of the gradients, and the least that it may be."""
    least = np.maximum(rho - shares @ products / (squared + EPSILON), 0.0)
    free = rho * (squared + EPSILON) / 2 - shares @ products
    return np.maximum(least, free / max(squared, 1e-30)), least


def weights_by_search(gradients, constraint, rho):
    """Return the weights of the gradients by search on a grid of their simplex that is made finer."""
    squared, products = constraint @ constraint, gradients @ constraint
    center, width = np.full(len(gradients), 1 / len(gradients)), 1.0
    for _ in range(60):
        steps = np.linspace(-width, width, 9)
        free = np.array(list(itertools.product(steps, repeat=len(gradients) - 1))) + center[:-1]
        points = np.column_stack([free, 1 - free.sum(axis=1)])
        points = points[(points > -1e-12).all(axis=1)]
        weight, _ = best_training_weight(points, products, squared, rho)
        direction = points @ gradients + weight[:, None] * constraint
        values = (direction**2).sum(axis=1) - rho * (squared + EPSILON) * weight
        center, width = points[values.argmin()], 0.7 * width
    return center


def flat(row):
    return np.concatenate([block.ravel() for block in row])


def by_hand(batches, metas, per_epoch, learning_rate, virtual_steps, virtual_rate, rho):
    """Train in float64; return the weights of the model and the state that is learned."""
    weights, logits, shares_up, adam = start(), np.zeros(3), np.full(3, 1 / 3), Adam(learning_rate)
    for step, ((x, y), (meta_x, meta_y)) in enumerate(zip(batches, metas, strict=True)):
        present, there = (np.array([np.isfinite(z[name]).any() for name in NAMES]) for z in (y, meta_y))
        shares, ahead = softmax(logits, present), weights
        for _ in range(virtual_steps):
            rows = losses_and_gradients(ahead, x, y)[1]
            ahead = [
                w - virtual_rate * sum(s * row[k] for s, row in zip(shares, rows, strict=True))
                for k, w in enumerate(ahead)
            ]
        losses, rows = losses_and_gradients(weights, x, y)
        falls = losses - losses_and_gradients(ahead, x, y)[0]
        slopes = (np.diag(shares) - np.outer(shares, shares)) @ falls
        constraint = np.concatenate([shares @ np.stack(list(map(flat, rows))), slopes])
        meta_rows = [flat(row) for row in losses_and_gradients(weights, meta_x, meta_y)[1]]
        unit = np.stack([row / max(np.linalg.norm(row), 1e-30) for row in meta_rows])
        unit = np.column_stack([unit, np.zeros((3, 3))])
        found = np.zeros(3)
        found[there] = weights_by_search(unit[there], constraint, rho)
        part = (step // per_epoch + 1) ** -0.75
        shares_up = np.where(there, shares_up + part * (found - shares_up), shares_up)
        used = there * shares_up / (there @ shares_up)
        _, weight = best_training_weight(used, unit @ constraint, constraint @ constraint, rho)
        direction = used @ unit + weight * constraint
        logits = adam.step(logits, direction[-3:], present)
        cuts = np.split(direction[:-3], np.cumsum([w.size for w in weights])[:-1])
        weights = [w - RATE * cut.reshape(w.shape) for w, cut in zip(weights, cuts, strict=True)]
    return weights, np.concatenate([logits, shares_up, [weight]])


def state(trainer):
    found = trainer.balancer
    return np.concatenate([found.task_logits, found.meta_weights, [found.training_weight]])


def looked(balancer, gradients, constraint, falls=(0.0, 0.0, 0.0), present=(True,) * 3, there=(True,) * 3):
    if not balancer.built:
        balancer.build((3,))
    gramian = gramian_of(gradients, constraint)
    return np.array(balancer.weigh_meta(gramian, np.array(falls, "float32"), present, there))


def gramian_of(gradients, constraint):
    rows = np.concatenate([gradients, [constraint]])
    return (rows @ rows.T).astype("float32")


def test_contract():
    check_balancer(FORUM)


def test_the_weight_of_training_is_a_factor():
    balancer = FORUM()
    balancer.build((2,))
    balancer.training_weight.assign(0.5)
    value, gradient = value_and_gradient(balancer, [1.0, 3.0])
    np.testing.assert_allclose(value, 1.0)
    np.testing.assert_allclose(gradient, [0.25, 0.25])


def test_weights_are_those_of_a_search():
    """Where the constraint is active, where it is not, and in between; with gradients of any size."""
    random, least, balancer = np.random.default_rng(0), [], FORUM(rho=0.5)
    balancer.build((3,))
    weigh = tf.function(lambda gramian: balancer.weigh_meta(gramian, [0.0] * 3, [True] * 3, [True] * 3))
    for size in np.repeat([1e-4, 1e-2, 0.1, 0.3, 1.0, 1e3], 3):
        gradients, constraint = random.normal(size=(3, 5)), size * random.normal(size=5)
        norms = np.linalg.norm(gradients, axis=1)
        found = np.array(weigh(gramian_of(gradients, constraint))) * norms
        unit = gradients / norms[:, None]
        np.testing.assert_allclose(found, weights_by_search(unit, constraint, 0.5), atol=2e-3)
        weight = best_training_weight(found, unit @ constraint, constraint @ constraint, 0.5)[1]
        np.testing.assert_allclose(balancer.training_weight, weight, rtol=1e-4, atol=1e-6 / size)
        least.append(weight)
    assert min(least) == 0 < max(least)


def test_the_update_gains_on_all_losses_and_on_the_constraint():
    random = np.random.default_rng(1)
    gradients, constraint = random.normal(size=(3, 6)), random.normal(size=6)
    balancer = FORUM()
    direction = looked(balancer, gradients, constraint) @ gradients
    direction = direction + float(balancer.training_weight) * constraint
    assert constraint @ direction >= 0.1 * constraint @ constraint - 1e-4


def test_what_is_absent_moves_nothing():
    balancer = FORUM(0.1)
    rows = np.eye(3, 4)
    found = looked(balancer, rows, [0, 0, 0, 1.0], [1.0, 0.0, 0.5], (True, False, True), (True, True, False))
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], atol=1e-5)
    np.testing.assert_allclose(balancer.meta_weights, [0.5, 0.5, 1 / 3], atol=1e-5)
    np.testing.assert_allclose(balancer.task_logits, [-0.1, 0.0, 0.1], atol=1e-5)
    before = np.array(balancer.meta_weights)
    found = looked(balancer, 0.0 * rows, [0, 0, 0, 1.0], there=(False,) * 3)
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0])
    np.testing.assert_array_equal(balancer.meta_weights, before)
    assert float(balancer.training_weight) == pytest.approx(0.1)


def test_newest_weights_count_less_with_every_epoch():
    balancer = FORUM()
    rows, constraint = np.diag([1.0, 1.0, 0.0]), np.zeros(3)
    looked(balancer, rows, constraint, there=(True, True, False))
    for _ in range(15):
        balancer.on_epoch_end()
    looked(balancer, rows, constraint, there=(True, False, False))
    assert float(balancer.meta_weights[0]) == pytest.approx(0.5 + 0.5 / 8)


def test_what_is_not_finite_has_no_weights():
    assert np.isnan(looked(FORUM(), np.full((3, 4), np.inf), np.ones(4))).all()
    assert np.isnan(looked(FORUM(), np.eye(3), np.ones(3), [np.nan, 0.0, 0.0])).all()


@pytest.mark.parametrize("options", [EAGER, {"jit_compile": True}])
def test_training_is_that_by_hand(options):
    trainer, _ = trained(FORUM(**SETTINGS), options=options)
    check(trainer, state(trainer), by_hand(*batches_of(8), 3, **SETTINGS))


def test_portions_are_one_batch():
    trainer, _ = trained(FORUM(**SETTINGS), accumulate=2, x=dataset(X, Y, 4), epochs=1)
    check(trainer, state(trainer), by_hand(*batches_of(8, 1), 3, **SETTINGS))


def test_virtual_steps_that_are_too_long_stop():
    """Without an end, the weighted loss would be beyond float32, and no step be made."""
    _, history = trained(FORUM(virtual_steps=8, virtual_rate=100.0), epochs=1)
    assert history["skipped_steps"] == [0]


def test_a_meta_loss_that_is_not_finite_skips_the_step():
    bad = {name: np.where(np.arange(10) == 7, 1e30, y) for name, y in META_Y.items()}  # in the second batch
    trainer, history = trained(FORUM(**SETTINGS), meta=dataset(META_X, bad, 5), epochs=1)
    assert history["skipped_steps"] == [1]
    batches, metas = batches_of(8, 1)
    check(trainer, state(trainer), by_hand(batches[::2], metas[::2], 3, **SETTINGS))


def test_a_training_goes_on_with_the_same_bits(tmp_path):
    def fit(*callbacks):
        keras.utils.set_random_seed(0)
        trainer = mz.Trainer(model(), TASKS, FORUM(**SETTINGS))
        trainer.compile(keras.optimizers.SGD(RATE, momentum=0.9), **EAGER)
        data = {"x": dataset(X, Y, 8), "meta_data": as_float32(META_X, META_Y)}
        history = trainer.fit(**data, epochs=2, callbacks=[*callbacks], verbose=0).history
        return [np.array(v) for v in (*trainer.variables, *trainer.optimizer.variables)], history

    expected = fit()
    with pytest.raises(ZeroDivisionError):
        fit(mz.callbacks.Resume(tmp_path, every=1), At(5, fail))
    assert_same(fit(mz.callbacks.Resume(tmp_path, every=1)), expected)


def test_penalties_and_sparse_gradients_are_added_as_they_are():
    """An embedding, and a penalty whose gradient no weight of the method changes."""
    inputs = keras.Input((2,), dtype="int32")
    table = mz.layers.Embedding(5, 3, embeddings_regularizer=keras.regularizers.L2(0.5))
    shared = keras.layers.Flatten()(table(inputs))
    trainer = mz.Trainer(
        keras.Model(inputs, {name: keras.layers.Dense(1)(shared) for name in "ab"}), TASKS[:2], FORUM()
    )
    trainer.compile(keras.optimizers.SGD(0.1), **EAGER)
    x, labels = np.array([[0, 1], [1, 2]]), {name: np.array([1.0, -1.0], "float32") for name in "ab"}
    before = np.array(table.embeddings)
    trainer.fit(x, labels, meta_data=(x, labels), verbose=0)
    np.testing.assert_allclose(np.array(table.embeddings)[3:], 0.9 * before[3:], rtol=1e-5)
    assert np.abs(np.array(table.embeddings)[:3] - 0.9 * before[:3]).max() > 1e-3


def test_meta_losses_fall_where_training_labels_mislead():
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 3)).astype("float32")
    labels = {"a": x[:, 0], "b": x[:, 1]}
    train = (x[:32], {"a": x[:32, 0] + x[:32, 2], "b": x[:32, 1]})
    meta = (x[32:], {name: y[32:] for name, y in labels.items()})
    found = {}
    for balancer in (mz.balancers.Equal(), FORUM(virtual_steps=1)):
        inputs = keras.Input((3,))
        heads = {name: keras.layers.Dense(1, kernel_initializer="zeros")(inputs) for name in "ab"}
        trainer = mz.Trainer(keras.Model(inputs, heads), TASKS[:2], balancer)
        trainer.compile(keras.optimizers.SGD(0.05))
        data = {"meta_data": meta} if balancer.needs_meta else {}
        trainer.fit(*train, epochs=60, verbose=0, **data)
        found[type(balancer).__name__] = trainer.evaluate(*meta, verbose=0, return_dict=True)
    assert found["FORUM"]["a_loss"] < 0.2 * found["Equal"]["a_loss"]
    assert found["FORUM"]["b_loss"] < 0.05


@pytest.mark.parametrize("space", ["shared", "representation"])
def test_an_aggregator_is_refused(space):
    with pytest.raises(ValueError, match=r"`aggregator` must be `None` with FORUM.* aggregator=PCGrad"):
        mz.Trainer(model(), TASKS, FORUM(), mz.aggregators.PCGrad(), space)


def test_meta_data_are_needed():
    trainer = mz.Trainer(model(), TASKS, FORUM())
    trainer.compile("sgd")
    with pytest.raises(ValueError, match="FORUM needs `meta_data`"):
        trainer.fit(tf.data.Dataset.from_tensors(as_float32(X, Y)))
