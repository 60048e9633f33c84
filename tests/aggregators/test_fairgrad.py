import numpy as np
import pytest

from mtl_zoo.aggregators import FairGrad, NashMTL
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(lambda: FairGrad(alpha=2.0))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("num_tasks", [1, 2, 5, 20])
def test_weights_solve_the_equation(num_tasks, alpha):
    rng = np.random.default_rng(num_tasks)
    for decades in (0, 4):
        norms = 10 ** rng.uniform(-decades / 2, decades / 2, size=(num_tasks, 1))
        jacobian = norms * rng.normal(size=(num_tasks, 2 * num_tasks))
        aggregator = FairGrad(alpha, None, dtype="float64")
        gains = jacobian @ np.asarray(aggregator(jacobian))
        weights = np.asarray(aggregator.task_weights)
        assert (weights > 0).all()
        assert_close(gains * weights ** (1 / alpha), np.ones(num_tasks), "equation", 1e-8)


def test_alpha_one_is_nash():
    jacobian = np.random.default_rng(0).normal(size=(5, 8)) * [[1e-2], [1.0], [1e2], [1.0], [3.0]]
    nash = NashMTL(max_norm=None, dtype="float64")(jacobian)
    assert_close(FairGrad(1.0, None, dtype="float64")(jacobian), nash, "direction", 1e-8)


def test_orthogonal_gradients_by_hand():
    # n² a = a ** (-1 / alpha), so a = n ** (-2 alpha / (1 + alpha))
    direction = FairGrad(3.0, max_norm=None)(np.diag([4.0, 1.0]))
    assert_close(direction, [4.0 ** (1 - 1.5), 1.0], "direction")


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0])
def test_direction_is_shortened_but_not_lengthened(alpha, scale):
    jacobian = scale * np.random.default_rng(0).normal(size=(3, 10))
    free = np.asarray(FairGrad(alpha, max_norm=None)(jacobian))
    expected = free * min(1.0, 1.0 / np.linalg.norm(free))
    assert_close(FairGrad(alpha)(jacobian), expected, "direction")


def test_weights_concern_what_is_shared_alone():
    assert not FairGrad.weighs_losses


@pytest.mark.parametrize("max_norm", [0.0, -1.0])
def test_max_norm_must_be_positive(max_norm):
    with pytest.raises(ValueError, match="`max_norm` must be positive"):
        FairGrad(max_norm=max_norm)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_alpha_must_be_positive(alpha):
    with pytest.raises(ValueError, match=r"`alpha` must be (positive|a finite number)"):
        FairGrad(alpha)
