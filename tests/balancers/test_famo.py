import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.balancers import FAMO
from tests.harness import check_balancer, value_and_gradient


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum()


def reference(before, after, learning_rate=0.025, weight_decay=1e-3):
    """Yield value, gradient and the logits after the look, for every step, with Adam in float64."""
    logits = first = second = np.zeros(before.shape[1])
    for step, (losses, later) in enumerate(zip(before, after, strict=True), start=1):
        shares = softmax(logits)
        scale = 1 / np.sum(shares / (losses + 1e-8))
        value, slope = scale * shares @ np.log(losses + 1e-8), scale * shares / (losses + 1e-8)
        jacobian = np.diag(shares) - np.outer(shares, shares)
        gradient = jacobian @ (np.log(losses + 1e-8) - np.log(later + 1e-8)) + weight_decay * logits
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        corrected = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        logits = logits - learning_rate * first / (1 - 0.9**step) / corrected
        yield value, slope, logits


def sequence(num_steps=40, num_tasks=4, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.gamma(2.0, size=(num_steps, num_tasks))
    return before, before * rng.uniform(0.7, 1.05, before.shape)


def step(balancer, before, after, present=None):
    answer = value_and_gradient(balancer, before, present)
    balancer.look(tf.constant(after, "float32"), present)
    return answer


def test_contract():
    check_balancer(FAMO)


def test_wants_a_second_look():
    assert FAMO.second_look


def test_value_and_gradient_by_hand():
    value, gradient = value_and_gradient(FAMO(), [1.0, 3.0])  # c = 1 / (1/2 + 1/6) = 3/2
    np.testing.assert_allclose(value, 0.75 * np.log(3.0), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.75, 0.25], rtol=1e-6)


def test_first_step_moves_every_logit_by_the_learning_rate():
    balancer = FAMO(learning_rate=0.1)
    step(balancer, [1.0, 1.0, 1.0], [0.5, 1.0, 1.0])  # the first gained more than the mean, the others less
    np.testing.assert_allclose(balancer.task_logits, [-0.1, 0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"learning_rate": 0.2, "weight_decay": 0.05}])
def test_sequence_against_numpy(arguments):
    balancer = FAMO(**arguments)
    before, after = sequence()
    for index, expected in enumerate(reference(before, after, **arguments)):
        found = *step(balancer, before[index], after[index]), balancer.task_logits
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


def test_gradient_weights_sum_to_one():
    balancer = FAMO()
    for before, after in zip(*sequence(), strict=True):
        gradient = step(balancer, before, after)[1]
        np.testing.assert_allclose(np.sum(gradient), 1.0, rtol=1e-5)


def test_equal_gains_leave_the_logits():
    balancer = FAMO()
    step(balancer, [1.0, 4.0], [0.5, 2.0])
    np.testing.assert_allclose(balancer.task_logits[0], balancer.task_logits[1], atol=1e-6)


def test_the_task_that_gains_less_gets_more_weight():
    balancer = FAMO()
    for _ in range(10):
        step(balancer, [1.0, 1.0], [0.5, 0.9])
    gradient = np.array(value_and_gradient(balancer, [1.0, 1.0])[1])
    assert gradient[1] > gradient[0] + 0.1


def test_absent_tasks_are_left_out():
    """The others do what they would do without the absent task; it keeps all of its state."""
    present = np.array([True, False, True])
    balancer, alone = FAMO(), FAMO()
    before, after = sequence(num_tasks=3)
    for index in range(5):
        losses, later = (np.where(present, x[index], np.nan) for x in (before, after))
        found = step(balancer, losses, later, present)
        expected = step(alone, before[index][present], after[index][present])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for one, other in zip(balancer.variables, alone.variables, strict=True):
        np.testing.assert_allclose(np.array(one)[present], other, rtol=1e-4, atol=1e-6)
        assert one[1] == (one.name == "losses_before")  # as built


def test_nothing_changes_when_all_are_absent():
    balancer, absent = FAMO(), np.zeros(2, bool)
    step(balancer, [1.0, 2.0], [0.5, 1.5])
    before = balancer.get_weights()
    value, _ = step(balancer, [0.0, np.nan], [np.nan, 0.0], absent)
    assert value == 0
    for one, other in zip(balancer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_of_zero_are_finite():
    balancer = FAMO()
    for losses in ([0.0, 1.0], [0.0, 0.0]):
        value, gradient = step(balancer, losses, [0.0, 0.5])
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    assert np.isfinite(balancer.task_logits).all()


def test_a_solved_task_is_left_out():
    """A loss of 0 before the update: the others go on without it, and it keeps its logit."""
    balancer, alone = FAMO(), FAMO()
    before, after = sequence(num_tasks=3)
    left = np.array([True, False, True])
    for index in range(5):
        losses, later = (np.where(left, x[index], 0.0) for x in (before, after))
        value, gradient = step(balancer, losses, later)
        expected, expected_gradient = step(alone, before[index][left], after[index][left])
        np.testing.assert_allclose(value, expected, rtol=1e-6)
        np.testing.assert_allclose(np.array(gradient)[left], expected_gradient, rtol=1e-5)
        assert gradient[1] == 0
    np.testing.assert_allclose(np.array(balancer.task_logits)[left], alone.task_logits, rtol=1e-4, atol=1e-6)
    assert balancer.task_logits[1] == 0


def test_losses_count_from_their_minimum():
    before, after = sequence(num_steps=5)
    least, plain = [-3.0, 0.0, 1.0, -0.5], FAMO()
    shifted = FAMO(min_losses=least)
    for losses, later in zip(before, after, strict=True):
        expected = step(plain, losses, later)
        for one, other in zip(step(shifted, losses + least, later + least), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(shifted.task_logits, plain.task_logits, rtol=1e-2, atol=1e-5)
    with pytest.raises(ValueError, match=r"`min_losses` must have one number per task, 3. Received: "):
        FAMO(min_losses=[0.0, -1.0])(np.ones(3))


def test_a_loss_that_falls_below_its_minimum_is_finite():
    balancer = FAMO()
    step(balancer, [1.0, 1.0], [-0.5, 0.5])
    np.testing.assert_allclose(balancer.task_logits, [-0.025, 0.025], rtol=1e-4)


def test_the_state_resumes_the_sequence():
    """Also between a call and the look that belongs to it."""
    before, after = sequence(num_steps=6)
    balancer, resumed = FAMO(), FAMO()
    for index in range(4):
        step(balancer, before[index], after[index])
    value_and_gradient(balancer, before[4])
    resumed.build((4,))
    resumed.set_weights(balancer.get_weights())
    for one in (balancer, resumed):
        one.look(tf.constant(after[4], "float32"))
    for one, other in zip(
        step(balancer, before[5], after[5]), step(resumed, before[5], after[5]), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(balancer.task_logits, resumed.task_logits)


def test_one_task_keeps_its_logit():
    balancer = FAMO()
    step(balancer, [2.0], [1.0])
    np.testing.assert_array_equal(balancer.task_logits, [0.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0}, r"must be positive and finite. Received: learning_rate=0"),
        ({"weight_decay": -1}, r"must not be negative. Received: weight_decay=-1"),
    ],
)
def test_arguments_must_be_valid(arguments, message):
    with pytest.raises(ValueError, match=message):
        FAMO(**arguments)
