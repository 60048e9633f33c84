import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.aggregators import NTKMTL
from tests.harness import assert_close, check_aggregator, check_resumes

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]


def weights_of(parts, power=0.5):
    """Return the weights of the tasks, of parts `[n, T, size]`."""
    rows = np.swapaxes(parts, 0, 1)
    speeds = np.array([np.linalg.eigvalsh(row @ row.T)[-1] for row in rows])
    return (speeds.mean() / speeds) ** power


def sequence(num_parts, num_steps=4):
    random = np.random.default_rng(num_parts)
    return random.normal(size=(num_steps, num_parts, 3, 9)) * [[0.1], [1.0], [10.0]]


def test_contract():
    check_aggregator(NTKMTL)


@pytest.mark.parametrize("arguments", [{}, {"num_parts": 2, "power": 1.5}])
def test_equals_the_definition(arguments):
    aggregator = NTKMTL(**arguments)
    for step, parts in enumerate(sequence(aggregator.sub_batches)):
        weights = weights_of(parts, aggregator.power)
        assert_close(aggregator(parts), weights @ parts.mean(axis=0), f"step {step}")
        assert_close(aggregator.task_weights, weights, f"weights of step {step}")


def test_blocks_are_parts_of_one_jacobian():
    parts = sequence(4)[0]
    first, second = NTKMTL()([parts[..., :4], parts[..., 4:]])
    assert_close(np.concatenate([first, second]), NTKMTL()(parts), "direction")


def test_one_part_weighs_by_lengths():
    # squared lengths 16 and 4, of mean 10
    direction = NTKMTL(num_parts=1)(np.diag([4.0, 2.0]))
    np.testing.assert_allclose(direction, [10**0.5, 10**0.5], rtol=1e-6)


def test_opposite_parts_are_fast_too():
    # the parts (2, 0) and (-2, 0) have eigenvalue 8 and mean 0; those of the other task 2 (its square twice)
    parts = np.array([[[2.0, 0.0], [0.0, 1.0]], [[-2.0, 0.0], [0.0, 1.0]]])
    aggregator = NTKMTL(num_parts=2)
    np.testing.assert_allclose(aggregator(parts), [0.0, 2.5**0.5], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(aggregator.loss_weights, [(5 / 8) ** 0.5, 2.5**0.5], rtol=1e-6)


def test_absent_and_zero_gradients():
    aggregator, parts = NTKMTL(), sequence(4)[0]
    absent = np.array([True, False, True])
    direction = aggregator(parts * absent[:, None], None, absent)
    weights = weights_of(parts[:, absent])
    assert_close(direction, weights @ parts[:, absent].mean(axis=0), "absent")
    assert_close(aggregator.loss_weights, [weights[0], 1.0, weights[1]], "weights of losses")
    found = NTKMTL()(parts * absent[:, None])  # in the mean of three
    assert_close(found, (2 / 3) ** 0.5 * np.asarray(direction), "zero")


def test_resumes(tmp_path):
    check_resumes(NTKMTL, [(parts[0],) for parts in sequence(1)], tmp_path)


X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = {"a": X[:, :1], "b": 4.0 * X[:, 1:2]}


def make_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, "tanh", name="trunk")(inputs)
    return keras.Model(inputs, {name: keras.layers.Dense(1, name=name)(shared) for name in "ab"})


def expected_update(model, missing):
    """Return weights of the losses and gradients, by layer, by passes of every part of the batch."""
    trunk, heads = model.get_layer("trunk"), [model.get_layer(name) for name in "ab"]
    b_rows = [row for row in range(8) if row not in missing]
    rows = [[list(range(8))[part::4] for part in range(4)], [b_rows[part::4] for part in range(4)]]
    with tf.GradientTape(persistent=True) as tape:
        features = trunk(X)
        squares = [(head(features) - Y[name])[:, 0] ** 2 for head, name in zip(heads, "ab", strict=True)]
        parts = [
            [tf.reduce_mean(tf.gather(square, part)) for part in of_task]
            for square, of_task in zip(squares, rows, strict=True)
        ]
        means = [tf.add_n(of_task) / 4.0 for of_task in parts]
        wholes = [tf.reduce_mean(squares[0]), tf.reduce_mean(tf.gather(squares[1], b_rows))]
    found = [[np.ravel(tape.gradient(loss, features)) for loss in of_task] for of_task in parts]
    weights = weights_of(np.swapaxes(np.array(found, "float64"), 0, 1))
    of_trunk = [tape.gradient(mean, trunk.kernel).numpy() for mean in means]
    of_heads = [tape.gradient(loss, head.kernel).numpy() for loss, head in zip(wholes, heads, strict=True)]
    return (
        weights,
        np.tensordot(weights, of_trunk, axes=1),
        [w * g for w, g in zip(weights, of_heads, strict=True)],
    )


@pytest.mark.parametrize(("missing", "accumulate"), [([], 1), ([1, 4, 7], 2)])
def test_step_in_representation_space(missing, accumulate):
    model = make_model()
    before = {v.path: np.array(v) for v in model.trainable_variables}
    weights, of_trunk, of_heads = expected_update(model, missing)
    trainer = mz.Trainer(model, TASKS, aggregator=NTKMTL(), space="representation", accumulate=accumulate)
    trainer.compile(keras.optimizers.SGD(1.0))
    labels = {**Y, "b": np.where(np.isin(np.arange(8), missing)[:, None], np.nan, Y["b"])}
    trainer.train_on_batch(X, labels)
    found = {v.path: before[v.path] - np.array(v) for v in model.trainable_variables}
    assert_close(trainer.aggregator.loss_weights, weights, "weights")
    assert_close(found["trunk/kernel"], of_trunk, "trunk")
    for name, gradient in zip("ab", of_heads, strict=True):
        assert_close(found[f"{name}/kernel"], gradient, name)
