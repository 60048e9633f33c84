import numpy as np
import pytest

from mtl_zoo.balancers import Static
from tests.harness import check_balancer, value_and_gradient


def test_contract():
    check_balancer(lambda: Static([0.5, 1.0, 2.0]), drops_absent=False)


def test_weights_the_losses():
    value, gradient = value_and_gradient(Static([0.5, 3]), [4.0, 1.0])
    assert value == 5.0
    np.testing.assert_array_equal(gradient, [0.5, 3.0])


def test_weights_must_not_be_negative():
    with pytest.raises(ValueError, match=r"finite numbers of at least 0. Received: weights=\[1, -1\]"):
        Static([1, -1])


def test_weights_must_not_be_nan():
    with pytest.raises(ValueError, match="weights"):
        Static([1, float("nan")])


def test_every_task_must_have_a_weight():
    with pytest.raises(ValueError, match=r"one number per task, 3. Received: \[1.0, 2.0\]"):
        Static([1, 2])(np.ones(3))
