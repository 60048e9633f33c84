import keras
import numpy as np
import pytest

from mtl_zoo.aggregators import CRMOGM, DBMTL, MGDA, GradNorm, GradVac, Krum, NashMTL, PCGrad, Sum
from tests.harness import assert_close, check_aggregator, check_resumes


def sequence(num_steps=5, num_tasks=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num_steps, num_tasks, 7)), rng.uniform(0.1, 3, size=(num_steps, num_tasks))


def test_contract():
    check_aggregator(lambda: CRMOGM(GradNorm()), needs_losses=True, drops_absent=False)


def test_contract_with_a_random_method():
    check_aggregator(lambda: CRMOGM(GradVac()), deterministic=False, drops_absent=False)


def test_averages_the_weights():
    aggregator, inner, average = CRMOGM(MGDA(), decay=0.8), MGDA(), np.ones(3) / 3
    for step, jacobian in enumerate(sequence()[0]):
        inner(jacobian)
        average = 0.8 * average + 0.2 * np.array(inner.task_weights)
        assert_close(aggregator(jacobian), average @ jacobian, f"step {step}")
        assert_close(aggregator.task_weights, average, f"weights of step {step}")


@pytest.mark.parametrize("make", [MGDA, lambda: PCGrad(seed=1), GradNorm])
def test_without_decay_equals_the_inner_method(make):
    aggregator, inner = CRMOGM(make(), decay=0.0), make()
    for jacobian, losses in zip(*sequence(), strict=True):
        assert_close(aggregator(jacobian, losses), inner(jacobian, losses), "direction")


def test_absent_task_keeps_its_average():
    aggregator, present = CRMOGM(MGDA(), decay=0.5), np.array([True, False])
    np.testing.assert_allclose(aggregator(np.diag([2.0, 0.0]), None, present), [2 * 0.75, 0.0])
    np.testing.assert_allclose(aggregator.task_weights, [0.75, 0.5])


def test_config_holds_the_inner_method():
    aggregator = CRMOGM(PCGrad(seed=7), decay=0.3)
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(aggregator))
    assert isinstance(restored.aggregator, PCGrad)
    assert (restored.aggregator.seed, restored.decay) == (7, 0.3)


def test_resumes_with_the_state_of_the_inner_method(tmp_path):
    check_resumes(lambda: CRMOGM(GradNorm()), list(zip(*sequence(), strict=True)), tmp_path)


def test_weights_of_losses_stay_such_and_the_clip_comes_last():
    jacobian, decay = 1e-3 * sequence()[0][0], 0.5
    aggregator, inner = CRMOGM(NashMTL(max_norm=0.5), decay), NashMTL(max_norm=None)
    inner(jacobian)
    average = decay / 3 + (1 - decay) * np.array(inner.loss_weights)
    direction = average @ jacobian
    assert_close(aggregator(jacobian), 0.5 * direction / np.linalg.norm(direction), "direction")
    assert_close(aggregator.loss_weights, average, "weights of the losses")
    assert not CRMOGM(MGDA()).weighs_losses


def test_the_inner_method_must_have_weights_for_all_that_is_shared():
    with pytest.raises(ValueError, match=r"one set of weights for all that is shared, which Krum has not"):
        CRMOGM(Krum())


@pytest.mark.parametrize("aggregator", [Sum(), DBMTL(), "mgda", MGDA])
def test_the_inner_method_must_have_weights_from_a_gramian(aggregator):
    with pytest.raises(
        TypeError, match=r"`aggregator` must be an instance of `GramianAggregator`. Received: "
    ):
        CRMOGM(aggregator)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_must_be_below_one(decay):
    with pytest.raises(ValueError, match=r"`decay` must be at least 0 and below 1. Received: decay="):
        CRMOGM(MGDA(), decay=decay)
