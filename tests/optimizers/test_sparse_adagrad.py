import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.optimizers import SparseAdagrad
from tests.optimizers.harness import assert_close, gradients, moved, table

SETTINGS = [
    {},
    {"initial_accumulator_value": 0.0, "epsilon": 1e-2},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.5},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"gradient_accumulation_steps": 2, "global_clipnorm": 0.5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings) or "default")
def test_rows_and_state_are_those_of_keras_with_dense_gradients(settings):
    found = moved(SparseAdagrad(0.1, **settings), gradients())
    wanted = moved(keras.optimizers.Adagrad(0.1, **settings), gradients(), dense=True)
    assert_close(found, wanted)
    assert np.abs(found[0] - table()).max() > 0.01


def test_steps_are_those_of_the_paper():
    epsilon, start = 1e-2, 0.3
    x, squares = table().astype("float64"), np.full(table().shape, start)
    for gradient in gradients():
        dense = np.zeros_like(x)
        np.add.at(dense, gradient.indices.numpy(), gradient.values.numpy().astype("float64"))
        squares += dense**2
        x -= 0.1 * dense / np.sqrt(squares + epsilon)
    optimizer = SparseAdagrad(0.1, initial_accumulator_value=start, epsilon=epsilon)
    found = moved(optimizer, gradients())[0]
    np.testing.assert_allclose(found, x, rtol=1e-5)
    untouched = np.setdiff1d(np.arange(len(x)), np.concatenate([g.indices for g in gradients()]))
    assert len(untouched) > 80
    np.testing.assert_array_equal(found[untouched], table()[untouched])


def test_dense_gradients_are_those_of_keras_to_the_bit():
    found, wanted = (
        moved(cls(0.1, clipnorm=0.5), gradients(), dense=True)
        for cls in (SparseAdagrad, keras.optimizers.Adagrad)
    )
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_learning_rate_may_be_a_schedule():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    found = moved(SparseAdagrad(schedule), gradients())
    wanted = moved(keras.optimizers.Adagrad(schedule), gradients(), dense=True)
    assert_close(found, wanted)


def test_constraints_are_those_of_keras():
    constraint = keras.constraints.MaxNorm(0.5, axis=1)
    found = moved(SparseAdagrad(0.1), gradients(), constraint=constraint)
    wanted = moved(keras.optimizers.Adagrad(0.1), gradients(), dense=True, constraint=constraint)
    assert_close(found, wanted)
    assert np.linalg.norm(found[0], axis=1).max() < 0.501


def test_half_precision_is_that_of_keras():
    tables = []
    for cls, convert in ((SparseAdagrad, tf.identity), (keras.optimizers.Adagrad, tf.convert_to_tensor)):
        x = keras.Variable(table(), dtype="float16")
        for gradient in gradients():
            half = tf.IndexedSlices(
                tf.cast(gradient.values, tf.float16), gradient.indices, gradient.dense_shape
            )
            optimizer = cls(0.1)
            optimizer.apply([convert(half)], [x])
        tables.append(np.array(x, "float32"))
    np.testing.assert_allclose(*tables, atol=5e-3)
