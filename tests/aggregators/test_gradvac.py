import keras
import numpy as np
import pytest

from mtl_zoo.aggregators import GradVac, PCGrad
from tests.harness import assert_close, check_aggregator, check_resumes


def reference(jacobian, orders, targets, beta):
    """The paper's algorithm 1, on the gradients themselves; updates `targets`."""
    turned = []
    for task, order in enumerate(orders):
        gradient = jacobian[task].copy()
        for other in order[order != task]:
            norms = np.linalg.norm(gradient), np.linalg.norm(jacobian[other])
            cosine, target = gradient @ jacobian[other] / np.prod(norms), targets[task, other]
            if cosine < target:
                sines = np.sqrt(1 - cosine**2), np.sqrt(1 - target**2)
                length = norms[0] * (target * sines[0] - cosine * sines[1]) / (norms[1] * sines[1])
                gradient += length * jacobian[other]
            targets[task, other] = (1 - beta) * target + beta * cosine
        turned.append(gradient)
    return np.sum(turned, axis=0)


def next_orders(aggregator, num_tasks):
    """Draw from a copy of the aggregator's generator."""
    clone = keras.random.SeedGenerator(0)
    clone.state.assign(aggregator.random.state)
    return np.argsort(keras.random.uniform((num_tasks, num_tasks), seed=clone), axis=1)


def similar(rng, num_tasks, size=8):
    """Return gradients that mostly agree."""
    return rng.normal(size=size) + 0.8 * rng.normal(size=(num_tasks, size))


def test_contract():
    check_aggregator(GradVac, deterministic=False)


@pytest.mark.parametrize("num_tasks", [2, 3, 5])
def test_equals_the_algorithm_of_the_paper_for_the_same_orders(num_tasks):
    rng = np.random.default_rng(num_tasks)
    aggregator, targets = GradVac(beta=0.3, seed=1), np.zeros((num_tasks, num_tasks))
    aggregator.build((num_tasks, 8))
    for step in range(8):
        jacobian = similar(rng, num_tasks) * 10 ** rng.uniform(-1, 1, (num_tasks, 1))
        expected = reference(jacobian, next_orders(aggregator, num_tasks), targets, beta=0.3)
        assert_close(aggregator(jacobian), expected, f"step {step}", relative=3e-4)
        assert_close(aggregator.target_cosines, targets, f"targets after step {step}")


def test_first_step_equals_pcgrad_for_the_same_seed():
    for seed in range(5):
        jacobian = np.random.default_rng(seed).normal(size=(4, 6))
        assert_close(GradVac(seed=seed)(jacobian), PCGrad(seed=seed)(jacobian), "direction")


def test_without_updates_every_step_is_one_of_pcgrad():
    rng = np.random.default_rng(0)
    vaccine, surgery = GradVac(beta=0, seed=3), PCGrad(seed=3)
    for _ in range(3):
        jacobian = rng.normal(size=(4, 6))
        assert_close(vaccine(jacobian), surgery(jacobian), "direction")


def test_rate_of_the_paper_is_the_default():
    assert GradVac().beta == 0.01


def test_two_tasks_reach_the_target_cosine():
    aggregator = GradVac(beta=0.5)
    aggregator.build((2, 2))
    aggregator.target_cosines.assign([[0.0, 0.6], [0.6, 0.0]])
    # (1, 0) turns to (1, 0.75), which has cosine 0.6 with (0, 1), and the other likewise
    np.testing.assert_allclose(aggregator(np.eye(2)), [1.75, 1.75], rtol=1e-5)
    np.testing.assert_allclose(aggregator.target_cosines, [[0.0, 0.3], [0.3, 0.0]], rtol=1e-5)


def test_a_zero_gradient_leaves_targets_alone():
    aggregator = GradVac()
    aggregator(np.array([[1.0, 0.0], [1.0, 1.0]]))
    before = np.array(aggregator.target_cosines)
    np.testing.assert_allclose(aggregator(np.array([[0.0, 0.0], [1.0, 1.0]])), [1.0, 1.0])
    np.testing.assert_array_equal(aggregator.target_cosines, before)


def test_finite_when_equal_gradients_suddenly_conflict():
    aggregator = GradVac(beta=1.0)
    for gradient in ([1.0, 2.0], [-1.0, 2.0], [-1.0, -2.0]):
        direction = aggregator(np.array([[1.0, 2.0], gradient]))
        assert np.isfinite(direction).all()
    assert np.isfinite(aggregator.target_cosines).all()


def test_resumes(tmp_path):
    rng = np.random.default_rng(0)
    check_resumes(GradVac, [(similar(rng, 2),) for _ in range(5)], tmp_path)


@pytest.mark.parametrize("beta", [-0.1, 1.1])
def test_beta_must_be_a_fraction(beta):
    with pytest.raises(ValueError, match=r"`beta` must be between 0 and 1. Received: beta="):
        GradVac(beta=beta)
