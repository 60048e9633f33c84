import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import DSelectKGate
from mtl_zoo.layers.dselect_k_gate import smooth_step


def decided(gate, numbers):
    """Build a static gate whose numbers behind the bits are given as `[selectors, bits]`."""
    gate.build((None, 1))
    gate.bit_bias.assign(np.ravel(numbers))
    if gate.num_selected > 1:
        gate.mixture_bias.assign(np.zeros(gate.num_selected))
    return np.array(gate(np.zeros((3, 1))))


def test_smooth_step_by_hand():
    # 2 t^3 / gamma^3 and 3 t / (2 gamma) at t = gamma / 4 are 1 / 32 and 3 / 8.
    values = smooth_step(np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]), gamma=2.0)
    quarter = 0.5 + 3 / 8 - 1 / 32
    np.testing.assert_allclose(values, [0, 0, 1 - quarter, 0.5, quarter, 1, 1], atol=1e-6)


def test_undecided_bits_weigh_all_experts_alike():
    weights = decided(DSelectKGate(8, num_selected=1), np.zeros((1, 3)))
    np.testing.assert_allclose(weights, np.full((3, 8), 1 / 8), rtol=1e-6)


def test_one_undecided_bit_by_hand():
    # Bit 0 is 27 / 32 (a quarter of gamma), bit 1 is 1: codes 2 and 3 share the weight.
    weights = decided(DSelectKGate(4, num_selected=1, gamma=1.0), [[0.25, 5.0]])
    np.testing.assert_allclose(weights[0], [0, 0, 5 / 32, 27 / 32], atol=1e-6)


@pytest.mark.parametrize("codes", list(itertools.combinations(range(4), 2)))
def test_decided_selectors_use_exactly_k_experts(codes):
    numbers = [[1.0 if code >> bit & 1 else -1.0 for bit in range(2)] for code in codes]
    weights = decided(DSelectKGate(4, num_selected=2), numbers)
    np.testing.assert_allclose(weights[:, list(codes)], 0.5, rtol=1e-6)
    assert np.count_nonzero(weights[0]) == 2


@pytest.mark.parametrize("per_example", [False, True])
def test_a_narrow_step_selects_at_most_k(per_example):
    keras.utils.set_random_seed(0)
    gate = DSelectKGate(16, num_selected=3, gamma=1e-6, per_example=per_example)
    gate.build((None, 5))
    random = np.random.default_rng(0)
    for variable in gate.trainable_variables:
        variable.assign(random.normal(size=variable.shape))
    weights = np.array(gate(random.normal(size=(50, 5)).astype("float32")))
    counts = np.count_nonzero(weights, axis=1)
    assert counts.max() == 3
    assert counts.min() >= 1
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (len(np.unique(weights, axis=0)) > 1) == per_example


@pytest.mark.parametrize("num_experts", [2, 3, 5, 6, 7])
def test_every_code_belongs_to_an_expert(num_experts):
    gate = DSelectKGate(num_experts, num_selected=1)
    for bits in itertools.product([-1.0, 1.0], repeat=gate.num_bits):
        weights = decided(DSelectKGate(num_experts, num_selected=1), [bits])
        code = sum(2**index for index, bit in enumerate(bits) if bit > 0)
        assert weights[0].tolist() == np.eye(num_experts)[code % num_experts].tolist()


def test_entropy_is_added_once_and_is_that_of_the_selectors():
    gate = DSelectKGate(4, num_selected=2, entropy=0.1)
    decided(gate, [[0.0, 0.0], [0.0, 1.0]])  # log 4 and log 2
    assert len(gate.losses) == 1
    np.testing.assert_allclose(gate.losses[0], 0.1 * (np.log(4) + np.log(2)), rtol=1e-5)


@pytest.mark.parametrize("per_example", [False, True])
def test_every_number_has_a_gradient(per_example):
    gate = DSelectKGate(4, per_example=per_example)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gate(x) * [[1.0, 2.0, 4.0, 8.0]])
    gradients = tape.gradient(loss, gate.trainable_variables)
    assert all(np.all(np.isfinite(g)) and np.any(g) for g in gradients)


def test_a_decided_gate_has_finite_gradients():
    gate = DSelectKGate(4, num_selected=1)
    decided(gate, [[3.0, -3.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(gate(np.zeros((2, 1))) * [[1.0, 2.0, 4.0, 8.0]]) + gate.losses[0]
    assert all(np.all(np.isfinite(g)) for g in tape.gradient(loss, gate.trainable_variables))


def test_compiles():
    gate = DSelectKGate(6, per_example=True)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    eager = gate(x)
    np.testing.assert_allclose(tf.function(gate, jit_compile=True)(x), eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"num_experts": 1},
            "at least 2 experts, and from 1 to all of them selected. Received: num_experts=1",
        ),
        ({"num_experts": 2, "num_selected": 3}, "Received: num_experts=2, num_selected=3"),
        ({"num_experts": 2, "gamma": 0.0}, "`gamma` must be positive .* Received: gamma=0.0"),
        ({"num_experts": 2, "entropy": -1.0}, "`entropy` must not be negative. Received: entropy=-1.0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        DSelectKGate(**arguments)
