import numpy as np
import pytest

from mtl_zoo.balancers import DTP
from tests.harness import check_balancer, value_and_gradient


def weights(balancer, losses, present=None):
    return np.array(value_and_gradient(balancer, losses, present)[1])


def test_contract():
    check_balancer(DTP)
    check_balancer(lambda: DTP(gamma=2.0, alpha=1.0))


def test_all_tasks_begin_alike_whatever_their_losses():
    value, gradient = value_and_gradient(DTP(gamma=2.0), [0.1, 300.0])  # progress 1/2
    np.testing.assert_allclose(gradient, 0.25 * np.log(2.0), rtol=1e-6)
    np.testing.assert_allclose(value, 300.1 * 0.25 * np.log(2.0), rtol=1e-6)


def test_weights_by_hand():
    balancer = DTP(gamma=1.0, alpha=1.0)
    weights(balancer, [1.0, 1.0])
    found = weights(balancer, [1.0 / 3.0, 3.0])  # progress 3/4 and 1/4
    np.testing.assert_allclose(found, [-0.25 * np.log(0.75), -0.75 * np.log(0.25)], rtol=1e-5)


def test_progress_is_a_moving_average():
    balancer, losses = DTP(alpha=0.3), np.random.default_rng(0).gamma(2.0, size=(10, 3))
    progress = None
    for batch in losses:
        now = losses[0] / (losses[0] + batch)
        progress = now if progress is None else 0.7 * progress + 0.3 * now
        found = weights(balancer, batch)
        np.testing.assert_allclose(found, -(1 - progress) * np.log(progress), rtol=1e-4)
    np.testing.assert_allclose(balancer.progress, progress, rtol=1e-5)


def test_the_scales_of_losses_do_not_matter():
    one, other, scale = DTP(), DTP(), np.array([1e-3, 1e4])
    for batch in np.random.default_rng(0).gamma(2.0, size=(5, 2)):
        np.testing.assert_allclose(weights(one, batch), weights(other, batch * scale), rtol=1e-4)


def test_a_task_that_progresses_loses_weight():
    balancer = DTP()
    for step in range(20):
        found = weights(balancer, [1.0, 0.8**step])
    assert found[1] < 0.5 * found[0]


def test_a_larger_gamma_turns_faster_from_tasks_that_progress():
    ratios = []
    for gamma in (0.0, 1.0, 3.0):
        balancer = DTP(gamma, alpha=1.0)
        weights(balancer, [1.0, 1.0])
        found = weights(balancer, [1.0, 0.2])
        ratios.append(found[1] / found[0])
    assert ratios == sorted(ratios, reverse=True)


def test_an_absent_task_starts_when_it_is_first_seen():
    balancer, present = DTP(), np.array([True, False])
    found = weights(balancer, [1.0, 0.0], present)
    np.testing.assert_allclose(found, [0.5 * np.log(2.0), 0.0], rtol=1e-6)
    found = weights(balancer, [1.0, 50.0])
    np.testing.assert_allclose(found, 0.5 * np.log(2.0), rtol=1e-6)


@pytest.mark.parametrize("losses", [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1e-30, 1e30]])
def test_extreme_losses_are_finite(losses):
    balancer = DTP(alpha=1.0)
    for batch in (losses, [1.0, 1.0], losses):
        value, gradient = value_and_gradient(balancer, batch)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": -1}, r"`gamma` must not be negative. Received: gamma=-1"),
        ({"alpha": 0}, r"`alpha` must be above 0 and at most 1. Received: alpha=0"),
        ({"alpha": 1.5}, r"`alpha` must be above 0 and at most 1. Received: alpha=1.5"),
    ],
)
def test_arguments_must_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        DTP(**arguments)
