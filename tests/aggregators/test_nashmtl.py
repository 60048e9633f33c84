import numpy as np
import pytest

from mtl_zoo.aggregators import NashMTL
from tests.harness import assert_close, check_aggregator


def test_contract():
    check_aggregator(NashMTL)


def bargain(jacobian):
    """Return the direction without clipping and the weights, in float64."""
    aggregator = NashMTL(max_norm=None, dtype="float64")
    direction = np.asarray(aggregator(jacobian))
    return direction, np.asarray(aggregator.task_weights)


@pytest.mark.parametrize("seed", range(10))
def test_two_tasks_have_the_closed_form(seed):
    rng = np.random.default_rng(seed)
    jacobian = rng.normal(size=(2, 5)) * 10 ** rng.uniform(-2, 2, size=(2, 1))
    norms = np.linalg.norm(jacobian, axis=1)
    cosine = jacobian[0] @ jacobian[1] / norms.prod()
    assert_close(bargain(jacobian)[1] * norms, np.full(2, 1 / np.sqrt(1 + cosine)), "weights", 1e-8)


@pytest.mark.parametrize("num_tasks", [2, 5, 20])
def test_weights_are_inverse_to_gains(num_tasks):
    rng = np.random.default_rng(num_tasks)
    for decades in (0, 4):
        norms = 10 ** rng.uniform(-decades / 2, decades / 2, size=(num_tasks, 1))
        jacobian = norms * rng.normal(size=(num_tasks, 2 * num_tasks))
        direction, weights = bargain(jacobian)
        assert (weights > 0).all()
        assert_close(jacobian @ direction * weights, np.ones(num_tasks), "gain times weight", 1e-8)
        assert direction @ direction == pytest.approx(num_tasks, rel=1e-8)


def test_scaling_a_loss_changes_nothing():
    jacobian = np.random.default_rng(0).normal(size=(4, 9))
    scales = np.array([[1e-4], [1.0], [1e4], [3.0]])
    assert_close(bargain(scales * jacobian)[0], bargain(jacobian)[0], "direction", 1e-8)


def test_direction_is_clipped_but_not_lengthened():
    jacobian = np.random.default_rng(0).normal(size=(4, 9))
    free = np.asarray(NashMTL(max_norm=None)(jacobian))  # of norm 2
    assert_close(NashMTL(max_norm=0.5)(jacobian), free / 4, "clipped")
    assert_close(NashMTL(max_norm=3.0)(jacobian), free, "not clipped")


def test_the_weights_of_the_losses_are_those_before_the_clip():
    jacobian, free = 1e-3 * np.random.default_rng(0).normal(size=(3, 9)), NashMTL(max_norm=None)
    clipped = NashMTL()
    for aggregator in (free, clipped):
        aggregator(jacobian)
    assert_close(clipped.loss_weights, free.task_weights, "weights of the losses")
    assert_close(clipped.task_weights, np.array(free.task_weights) / np.sqrt(3), "weights in the direction")


def test_a_task_without_shared_gradient_keeps_its_loss_as_it_is():
    aggregator = NashMTL()
    aggregator(np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 4.0]]))
    assert_close(aggregator.loss_weights, [0.5, 1.0, 0.25], "weights of the losses")


def test_duplicates_share():
    direction, weights = bargain(np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 1.0]]))
    assert_close(direction, [np.sqrt(2), 1.0], "direction", 1e-8)
    assert weights[0] == pytest.approx(weights[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_opposite_gradients_leave_the_others_their_part(dtype):
    pair = np.array([[1.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
    assert_close(NashMTL(None, dtype=dtype)(pair), np.zeros(3), "nothing is left", scale=1.0)
    four = np.vstack([pair, [[0.0, 3.0, 0.0], [0.0, 0.0, 1.0]]])
    assert_close(NashMTL(None, dtype=dtype)(four), [0.0, 1.0, 1.0], "the others", relative=1e-3)


@pytest.mark.parametrize("max_norm", [0.0, -1.0])
def test_max_norm_must_be_positive(max_norm):
    with pytest.raises(ValueError, match="`max_norm` must be positive"):
        NashMTL(max_norm)
