import numpy as np

from mtl_zoo.datasets import scaled_regression
from tests.datasets.harness import check_dataset, only_batch


def test_contract(no_network, tmp_path, capsys):
    check_dataset(scaled_regression, tmp_path, capsys, batch_size=500)


def test_values():
    x, labels = only_batch(scaled_regression, "train", batch_size=10_000)
    assert x.shape == (10_000, 250)
    assert -1 <= x.min() < -0.99
    assert 0.99 < x.max() <= 1
    small, large = labels["small"], labels["large"] / 100
    assert small.shape == large.shape == (10_000, 100)
    assert np.abs(small).max() <= 1
    assert np.abs(large).max() <= 1
    # both saturate, and mostly agree: (B + E_1)x and (B + E_2)x correlate by 100 / (100 + 3.5 ** 2)
    agreement = np.mean(np.sign(small) == np.sign(large))
    expected = 1 - np.arccos(100 / (100 + 3.5**2)) / np.pi
    assert abs(agreement - expected) < 0.01


def test_other_scales():
    x, labels = scaled_regression.arrays({"a": 2.0, "b": 0.5, "c": 30.0}, draw=0)["test"]
    assert x.shape == (2_000, 250)
    sizes = {name: np.abs(values).max() for name, values in labels.items()}
    assert sizes == {"a": 2.0, "b": 0.5, "c": 30.0}  # where the tangent is 1 in float32


def test_draws():
    first, again, other = (only_batch(scaled_regression, "test", draw=draw)[0] for draw in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
