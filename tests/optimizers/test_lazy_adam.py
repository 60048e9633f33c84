import keras
import numpy as np
import pytest

from mtl_zoo.optimizers import LazyAdam
from tests.optimizers.harness import ROWS, assert_close, gradients, moved, slices, table

SETTINGS = [
    {},
    {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2},
    {"amsgrad": True, "beta_2": 0.5},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.5},
    {"weight_decay": 0.1},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
]


def by_hand(steps, rate=0.1, first=0.9, second=0.999, epsilon=1e-7, amsgrad=False):
    """Return the table after lazy steps, in float64."""
    x = table().astype("float64")
    m, v, largest = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for number, gradient in enumerate(steps, 1):
        dense = np.zeros_like(x)
        np.add.at(dense, gradient.indices.numpy(), gradient.values.numpy().astype("float64"))
        rows = np.unique(gradient.indices)
        m[rows] = first * m[rows] + (1 - first) * dense[rows]
        v[rows] = second * v[rows] + (1 - second) * dense[rows] ** 2
        largest = np.maximum(largest, v)
        corrected = rate * np.sqrt(1 - second**number) / (1 - first**number)
        root = np.sqrt((largest if amsgrad else v)[rows])
        x[rows] -= corrected * m[rows] / (root + epsilon)
    return x


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings) or "default")
def test_with_every_row_in_the_batch_it_is_that_of_keras(settings):
    steps = gradients(every_row=True)
    found = moved(LazyAdam(0.1, **settings), steps)
    assert_close(found, moved(keras.optimizers.Adam(0.1, **settings), steps, dense=True), rtol=1e-4)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_rows_that_are_not_in_the_batch_stay(amsgrad):
    options = {"beta_2": 0.5, "amsgrad": amsgrad}
    found = moved(LazyAdam(0.1, **options), gradients())[0]
    wanted = by_hand(gradients(), second=0.5, amsgrad=amsgrad)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_rare_row_keeps_its_moments_and_moves_on_in_keras_alone():
    first, then = slices([7], [[1.0, -1.0]]), slices([3], [[1.0, 1.0]])
    lazy, eager = LazyAdam(0.1), keras.optimizers.Adam(0.1)
    once, found = (
        moved(optimizer, steps) for optimizer, steps in ((LazyAdam(0.1), [first]), (lazy, [first, then]))
    )
    np.testing.assert_array_equal(once[0][7], found[0][7])
    np.testing.assert_allclose(lazy._momentums[0][7], [0.1, -0.1], rtol=1e-6)
    plain = moved(eager, [first, then], dense=True)
    assert np.abs(plain[0][7] - found[0][7]).min() > 0.01
    assert found[0].shape == (ROWS, 2)


def test_dense_gradients_are_those_of_keras_to_the_bit():
    found, wanted = (
        moved(cls(0.1, amsgrad=True), gradients(), dense=True) for cls in (LazyAdam, keras.optimizers.Adam)
    )
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_accumulated_gradients_are_refused():
    with pytest.raises(
        ValueError, match=r"`gradient_accumulation_steps` of LazyAdam must be `None`.*Received.*=2"
    ):
        moved(LazyAdam(0.1, gradient_accumulation_steps=2), gradients())
