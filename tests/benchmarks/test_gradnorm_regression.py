import numpy as np
import pytest

import mtl_zoo as mz
from tests.benchmarks.scripts import loaded


@pytest.fixture(scope="module")
def study():
    with loaded("gradnorm_regression") as script:
        yield script


class Network:
    """Predicts a constant."""

    def __init__(self, value):
        self.value = value

    def predict_on_batch(self, x):
        return {name: np.full((len(x), 1), self.value) for name in ("a", "b")}


def test_loss_ratios_do_not_depend_on_scales(study):
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    labels = {"a": np.full((3, 1), 2.0), "b": np.full((3, 1), 200.0)}
    ratios, logs = study.LossRatios((np.zeros((3, 1)), labels), tasks, "test"), {}
    ratios.set_model(Network(0.0))
    ratios.on_train_begin()
    ratios.set_model(Network(1.0))
    ratios.on_epoch_end(0, logs)
    assert logs["test"] == pytest.approx((1 / 4 + 199**2 / 200**2) / 2)


def test_scales(study):
    assert study.make_scales(2) == {"small": 1.0, "large": 100.0}
    scales = study.make_scales(10)
    assert len(scales) == 10
    assert min(scales.values()) > 0
    weights = study.METHODS["Static, 1 ÷ variance"]([1.0, 100.0])["balancer"].start
    assert list(weights) == [1.0, pytest.approx(1e-4)]
