"""Draws of Dirichlet distributions have the right moments, and nothing XLA cannot compile."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.numerics.dirichlet import dirichlet


@pytest.mark.parametrize("alpha", [0.3, 1.0, 5.0])
def test_moments(alpha):
    shares = np.asarray(dirichlet((20_000, 3), alpha, "float32", keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(shares.mean(axis=0), 1 / 3, atol=0.01)
    variance = (1 / 3) * (2 / 3) / (3 * alpha + 1)
    np.testing.assert_allclose(shares.var(axis=0), variance, rtol=0.06)


def test_xla_compiles_it():
    seed = keras.random.SeedGenerator(0)
    draw = tf.function(lambda: dirichlet((4, 2), 0.5, "float32", seed), jit_compile=True)
    np.testing.assert_allclose(np.sum(draw(), axis=1), 1, atol=1e-5)
