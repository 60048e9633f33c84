import numpy as np
import pytest

from mtl_zoo.datasets import correlated_regression
from tests.benchmarks.scripts import loaded


@pytest.fixture(scope="module")
def study():
    with loaded("mmoe_correlation", "--steps=2", "--batch_size=4") as script:
        yield script


@pytest.fixture(scope="module")
def runs(study):
    return study.Runs(lambda: study.shared_bottom(16), seeds=[3, 4], correlations=[0.5, 1.0])


def test_networks_are_those_of_the_paper(study):
    sizes = {name: build().count_params() for name, build in study.BUILDERS.items()}
    experts, gate, heads = 8 * 101 * 16, 100 * 8, 2 * (17 * 8 + 9)
    assert sizes["omoe"] == experts + gate + heads
    assert sizes["mmoe"] == experts + 2 * gate + heads
    assert sizes["shared_bottom_113"] == 101 * 113 + 2 * (114 * 8 + 9)


def test_labels_are_those_of_the_dataset(runs, monkeypatch):
    monkeypatch.setattr(correlated_regression, "NOISE", 0.0)
    x, labels = correlated_regression.arrays(0.5, draw=4)["test"]
    found = runs.label(x[:10])[2]  # the first correlation of the second seed
    expected = np.stack([labels["first"], labels["second"]], axis=1)[:10]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_runs_are_networks_of_their_own(runs):
    before = runs.losses(runs.test, runs.test_labels).numpy()
    for index, expected in enumerate(before):
        runs.model.set_weights([variable[index] for variable in runs.variables])
        outputs = runs.model(runs.test)
        predictions = np.concatenate([outputs["first"], outputs["second"]], axis=1)
        assert np.mean((predictions - runs.test_labels[index]) ** 2) == pytest.approx(expected, rel=1e-4)
    curves = runs.curves(1e-2, points=2)
    assert curves.shape == (2, 2, 2)
    after = runs.losses(runs.test, runs.test_labels).numpy().reshape(2, 2)
    np.testing.assert_allclose(
        curves[-1] * np.var(runs.test_labels, axis=(1, 2)).reshape(2, 2), after, rtol=1e-5
    )
    assert np.all(after != before.reshape(2, 2))
