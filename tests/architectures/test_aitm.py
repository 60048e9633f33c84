import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.architectures import aitm
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach

CHAIN = [mz.Task.binary("click"), mz.Task.binary("cart"), mz.Task.binary("buy")]
smooth = functools.partial(aitm, activation="tanh")  # so that no gradient is zero by chance


@pytest.mark.parametrize("tasks", [CHAIN, TASKS], ids=["chain", "any"])
def test_contract(tasks):
    check_architecture(smooth, tasks=tasks)


def test_parameter_count():
    # Inputs 5: per task an encoder (4, 3) and one logit; between two, g: a dense layer, and h1, h2, h3.
    towers = 3 * ((5 * 4 + 4) + (4 * 3 + 3) + (3 * 1 + 1))
    transfers = 2 * ((3 * 3 + 3) + 3 * 3 * 3)
    assert build(aitm, tasks=CHAIN).count_params() == towers + transfers


def test_a_task_reaches_its_tower_and_those_of_the_tasks_before():
    order = [task.name for task in CHAIN]
    for path, names in reach(build(smooth, tasks=CHAIN), tasks=CHAIN).items():
        name = path.split("/")[0]
        if "logits" in path:
            assert names == {name.split("_")[0]}
        else:  # what leads to a task begins to matter there
            first = name.split("_to_")[-1].split("_")[0]
            assert names == set(order[order.index(first) :]), path


def test_values_by_hand():
    model = build(aitm, tasks=CHAIN)
    x, _ = batch(tasks=CHAIN)
    features = None
    for before, task in zip([None, *CHAIN], CHAIN, strict=False):
        own = x
        for stage in (1, 2):
            own = np.tanh(dense(model, f"{task.name}_{stage}_dense", own))
        if before is None:
            features = own
        else:
            transferred = np.maximum(dense(model, f"{before.name}_to_{task.name}", features), 0)
            features = attend(model.get_layer(f"{task.name}_transfer"), np.stack([transferred, own], axis=1))
        logits = dense(model, f"{task.name}_logits", features)
        np.testing.assert_allclose(model(x)[task.name], logits, rtol=1e-4, atol=1e-5)


def dense(model, name, x):
    layer = model.get_layer(name)
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def attend(layer, both):
    query, key, value = (both @ np.array(kernel) for kernel in (layer.query, layer.key, layer.value))
    weights = np.exp((query * key).sum(axis=-1, keepdims=True) / np.sqrt(both.shape[-1]))
    return (weights / weights.sum(axis=1, keepdims=True) * value).sum(axis=1)


def test_penalty_by_hand():
    model = build(functools.partial(aitm, calibration=0.5), tasks=CHAIN)
    x, _ = batch(tasks=CHAIN)
    click, cart, buy = (1 / (1 + np.exp(-np.array(logits))) for logits in model(x).values())
    expected = [0.5 * np.maximum(cart - click, 0).mean(), 0.5 * np.maximum(buy - cart, 0).mean()]
    np.testing.assert_allclose(model.losses, expected, rtol=1e-4, atol=1e-7)
    assert max(expected) > 0


@pytest.mark.parametrize(
    ("tasks", "calibration", "number"),
    [(CHAIN, 0.6, 2), (CHAIN, 0, 0), (TASKS, 0.6, 0), ([*TASKS, *CHAIN], 0.6, 2)],
)
def test_the_penalty_is_between_successive_binary_tasks(tasks, calibration, number):
    model = aitm(keras.Input((5,)), tasks, mz.encoders.mlp(3), calibration=calibration)
    model(np.ones((2, 5)))
    assert len(model.losses) == number


@pytest.mark.parametrize("space", ["shared", "representation"])
def test_the_trainer_adds_the_penalty(space):
    keras.utils.set_random_seed(0)
    model = smooth(keras.Input((8, 8, 1)), CHAIN, mz.encoders.convnet(2, 3), calibration=2.0)
    trainer = mz.Trainer(model, CHAIN, aggregator=mz.aggregators.Sum(), space=space)
    trainer.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype("float32")
    labels = {task.name: np.arange(6) % 2 for task in CHAIN}
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        losses = [task.compute_loss(labels[task.name], logits[task.name]) for task in CHAIN]
        total = tf.add_n(losses) + tf.add_n(model.losses)
    wanted = [v.numpy() - 0.5 * g for v, g in zip(variables, tape.gradient(total, variables), strict=True)]
    trainer.train_step((tf.constant(x), labels))
    for variable, value in zip(variables, wanted, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"`calibration` must not be negative. Received: calibration=-1"):
        aitm(keras.Input((5,)), CHAIN, mz.encoders.mlp(3), calibration=-1)
    with pytest.raises(ValueError, match="needs as features maps"):
        aitm(keras.Input((8, 8, 1)), [mz.Task.segmentation("part", 2)], mz.encoders.convnet(2, 2))
