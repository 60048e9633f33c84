import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.balancers import AutoLambda
from tests.harness import check_balancer, value_and_gradient

ALL = np.ones(3, bool)


def looked(balancer, slopes, present=ALL, meta_present=ALL):
    if not balancer.built:
        balancer.build((3,))
    balancer.look_ahead(np.array([slopes], "float32"), present, meta_present)
    return np.array(balancer.task_weights)


def test_contract():
    check_balancer(AutoLambda)


def test_the_scalar_is_the_weighted_sum():
    value, gradient = value_and_gradient(
        AutoLambda(initial=0.25), [1.0, 2.0, 4.0], np.array([True, False, True])
    )
    np.testing.assert_allclose(value, 1.25)
    np.testing.assert_allclose(gradient, [0.25, 0.0, 0.25])


def test_weights_go_against_the_slopes():
    balancer = AutoLambda(learning_rate=0.02)
    np.testing.assert_allclose(looked(balancer, [-3.0, 1e-3, 0.0]), [0.12, 0.08, 0.1], rtol=1e-4)


def test_weights_stop_at_0_and_come_back():
    balancer = AutoLambda(learning_rate=0.06)
    for _ in range(3):
        weights = looked(balancer, [1.0, -1.0, 0.0])
    np.testing.assert_allclose(weights, [0.0, 0.28, 0.1], rtol=1e-4)
    for _ in range(4):
        weights = looked(balancer, [-9.0, 0.0, 0.0])
    assert weights[0] > 0.05


def test_what_is_absent_moves_nothing():
    balancer = AutoLambda(["a", "b"], learning_rate=0.02)
    balancer.for_tasks(["a", "b", "c"])
    weights = looked(balancer, [-1.0, -1.0, -1.0], present=np.array([True, False, True]))
    np.testing.assert_allclose(weights, [0.12, 0.1, 0.12], rtol=1e-4)
    assert (looked(balancer, [0.0] * 3, meta_present=np.array([False, False, True])) == weights).all()
    assert float(balancer.moments[2][0]) == 1


def test_primary_tasks_are_those_of_the_trainer():
    balancer = AutoLambda(["c", "a"])
    with pytest.raises(ValueError, match=r"`primary` must be given to a `Trainer`\. Received: primary=\('c'"):
        balancer.build((3,))
    with pytest.raises(
        ValueError, match=r"must name some of the tasks \['a', 'b'\]\. Received: primary=\('c'"
    ):
        balancer.for_tasks(["a", "b"])
    balancer.for_tasks(["a", "b", "c"])
    balancer.build((3,))
    np.testing.assert_array_equal(balancer.meta_objectives(3), [[1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="must name some"):
        AutoLambda([]).for_tasks(["a"])


def test_the_config_has_the_names():
    again = AutoLambda.from_config(AutoLambda(["b"], 0.1).get_config())
    tasks = [mz.Task.regression("a"), mz.Task.regression("b")]
    again.for_tasks([task.name for task in tasks])
    again.build((2,))
    np.testing.assert_array_equal(again.meta_objectives(2), [[0.0, 1.0]])
    assert again.learning_rate == 0.1
