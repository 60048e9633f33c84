import numpy as np
import pytest

from mtl_zoo.balancers import IGB
from tests.harness import check_balancer, value_and_gradient

STEPS = 3


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def epoch(balancer, *batches, present=None):
    for losses in batches:
        balancer(np.array(losses), present)
    balancer.on_epoch_end()


def test_contract():
    check_balancer(lambda: IGB(base_epoch=0))


def test_by_numpy_over_epochs():
    balancer = IGB()
    losses = np.random.default_rng(0).gamma(2.0, size=(4, STEPS, 3)) * [1e-2, 1.0, 1e3]
    base = losses[1].mean(axis=0)  # the second epoch
    for number, batches in enumerate(losses):
        for batch in batches:
            weights = 3 * softmax(batch / base) if number > 1 else np.ones(3)
            value, gradient = value_and_gradient(balancer, batch)
            np.testing.assert_allclose(value, weights @ np.log(batch), rtol=1e-4)
            np.testing.assert_allclose(gradient, weights / batch, rtol=1e-4)
        balancer.on_epoch_end()
    np.testing.assert_allclose(balancer.base_losses, base, rtol=1e-5)


def test_weights_by_hand():
    balancer = IGB(base_epoch=0)
    epoch(balancer, [1.0, 30.0], [3.0, 10.0])  # bases 2 and 20
    gradient = value_and_gradient(balancer, [2.0, 10.0])[1]  # ratios 1 and 1/2
    share = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(gradient, [2 * share / 2.0, 2 * (1 - share) / 10.0], rtol=1e-5)


def test_the_scales_of_losses_do_not_matter():
    one, other, scale = IGB(base_epoch=0), IGB(base_epoch=0), np.array([1e-3, 1e4])
    losses = np.random.default_rng(0).gamma(2.0, size=(2, 2))
    for balancer, factor in ((one, 1.0), (other, scale)):
        epoch(balancer, losses[0] * factor)
    gradient = value_and_gradient(other, losses[1] * scale)[1]
    np.testing.assert_allclose(value_and_gradient(one, losses[1])[1], gradient * scale, rtol=1e-4)


def test_a_task_without_a_label_in_the_base_epoch_gets_its_base_later():
    balancer = IGB(base_epoch=0)
    epoch(balancer, [1.0, 0.0], present=np.array([True, False]))
    np.testing.assert_array_equal(balancer.base_losses, [1.0, 0.0])
    np.testing.assert_allclose(value_and_gradient(balancer, [2.0, 4.0])[1], [1 / 2, 1 / 4], rtol=1e-6)
    epoch(balancer, [3.0, 4.0])
    np.testing.assert_array_equal(balancer.base_losses, [1.0, 4.0])
    gradient = np.array(value_and_gradient(balancer, [1.0, 4.0])[1])
    np.testing.assert_allclose(gradient, [1.0, 1 / 4], rtol=1e-6)


def test_base_epoch_must_be_an_integer():
    with pytest.raises(ValueError, match=r"must be an integer of at least 0. Received: base_epoch=-1"):
        IGB(base_epoch=-1)
