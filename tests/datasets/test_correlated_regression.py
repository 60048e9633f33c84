import math

import numpy as np
import pytest

from mtl_zoo.datasets import correlated_regression
from tests.datasets.harness import check_dataset, only_batch


def test_contract(no_network, tmp_path, capsys):
    check_dataset(correlated_regression, tmp_path, capsys, batch_size=5_000)


def linear_parts(correlation):
    """Return the weights of both tasks, times a common factor, by least squares: odd parts vanish."""
    x, labels = correlated_regression.arrays(correlation, draw=3)["train"]
    y = np.stack([labels["first"], labels["second"]], axis=1)
    return np.linalg.lstsq(x, y, rcond=None)[0].T


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.9])
def test_the_cosine_of_the_weights_is_the_correlation(correlation):
    first, second = linear_parts(correlation)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert cosine == pytest.approx(correlation, abs=0.05)


def test_equal_tasks_differ_by_their_noise_alone():
    _, labels = correlated_regression.arrays(1.0, draw=0)["test"]
    assert np.std(labels["first"] - labels["second"]) == pytest.approx(0.1 * np.sqrt(2), rel=0.03)


class Still:
    """Stands for a generator: inputs of 0.5, and no noise."""

    def normal(self, scale=1.0, size=None):
        return np.full(size, 0.5 if scale == 1.0 else 0.0)


def test_the_formula():
    weights = np.zeros((100, 2))
    weights[0], weights[1] = (0.2, -0.6), (0.4, 0.2)
    phases = [0.1, 0.2, 0.3, 0.4, 0.5]
    x, labels = correlated_regression._draw(Still(), 3, weights, np.array(phases))
    assert x.shape == (3, 100)
    for name, linear in {"first": 0.3, "second": -0.2}.items():
        expected = linear + sum(math.sin(j * linear + phase) for j, phase in enumerate(phases, start=1))
        np.testing.assert_allclose(labels[name], expected, rtol=1e-6)


def test_parameters_are_those_of_the_draw():
    weights, phases = correlated_regression.parameters(0.5, draw=2)
    x, labels = correlated_regression.arrays(0.5, draw=2)["test"]
    linear = x @ weights
    waves = np.sin(np.arange(1, 6) * linear[..., np.newaxis] + phases).sum(axis=-1)
    noise = np.stack([labels["first"], labels["second"]], axis=1) - linear - waves
    assert np.std(noise) == pytest.approx(0.1, rel=0.02)


def test_draws():
    first, again, other = (only_batch(correlated_regression, "test", draw=draw)[0] for draw in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_correlation_is_checked():
    with pytest.raises(ValueError, match=r"between -1 and 1. Received: correlation=1.5"):
        correlated_regression.load("train", 8, correlation=1.5)
