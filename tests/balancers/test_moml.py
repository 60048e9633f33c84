import numpy as np

from mtl_zoo.balancers import MOML
from tests.harness import check_balancer, value_and_gradient

BOTH = np.ones(2, bool)


def looked(balancer, slopes, present=BOTH, meta_present=BOTH):
    if not balancer.built:
        balancer.build((2,))
    balancer.look_ahead(np.array(slopes, "float32"), present, meta_present)
    return np.array(balancer.task_logits)


def test_contract():
    check_balancer(MOML)


def test_weights_start_equal_and_are_shared_out_among_the_present():
    value, gradient = value_and_gradient(MOML(), [1.0, 3.0])
    np.testing.assert_allclose(value, 2.0)
    np.testing.assert_allclose(gradient, [0.5, 0.5])
    np.testing.assert_allclose(value_and_gradient(MOML(), [1.0, 3.0], ~BOTH | [False, True])[1], [0.0, 1.0])


def test_what_helps_one_task_and_harms_another_as_much_moves_nothing():
    np.testing.assert_allclose(looked(MOML(0.1), [[-1.0, 0.0], [1.0, 0.0]]), [0.0, 0.0], atol=1e-6)


def test_gradients_have_their_own_length_in_the_sum():
    """Directions that are opposite have equal weights, and so the longer gradient wins."""
    np.testing.assert_allclose(looked(MOML(0.1), [[-1.0, 0.0], [2.0, 0.0]]), [-0.1, 0.1], rtol=1e-5)


def test_two_tasks_of_one_direction_have_equal_weights():
    """All combinations of their directions are as short: no rounding may choose."""
    random = np.random.default_rng(0)
    for helps, more in zip(*random.uniform(0.1, 10.0, (2, 50)), strict=True):
        balancer = MOML()
        looked(balancer, [[-helps, 0.0], [-more, 0.0]])
        # By the first logit it is 1/2 * (1 - 1/2) of what it is by the first weight; Adam keeps a tenth.
        np.testing.assert_allclose(balancer.moments[0], (helps + more) / 80 * np.array([-1, 1]), rtol=1e-5)


def test_what_helps_both_tasks_gets_weight():
    np.testing.assert_allclose(looked(MOML(0.1), [[-1.0, 0.0], [-2.0, 1.0]]), [0.1, -0.1], rtol=1e-5)


def test_a_task_without_meta_labels_has_no_say():
    alone = looked(MOML(0.1), [[-1.0, 0.0], [2.0, 0.0]], meta_present=np.array([True, False]))
    np.testing.assert_allclose(alone, [0.1, -0.1], rtol=1e-5)
    none = looked(MOML(0.1), [[0.0, 0.0], [0.0, 0.0]], meta_present=~BOTH)
    np.testing.assert_array_equal(none, [0.0, 0.0])


def test_an_absent_task_keeps_its_logit():
    balancer = MOML(0.1)
    before = looked(balancer, [[-1.0, 0.0], [-2.0, 1.0]])
    after = looked(balancer, [[-1.0, 0.0], [-2.0, 1.0]], present=np.array([True, False]))
    assert after[1] == before[1]
