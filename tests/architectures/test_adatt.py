import functools

import keras
import numpy as np
import pytest

from mtl_zoo.architectures import adatt
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_graph, reach

HEADS = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
shared = functools.partial(adatt, num_task_experts=1, num_shared_experts=1)


def test_contract():
    check_graph(adatt)


def test_parameter_counts():
    # Level 1: 3 * 2 experts of 4 units on 5 inputs, a gate over all six and two weights per task. Level 2:
    # as many of 3 units on 4 inputs.
    level_1 = 6 * (5 * 4 + 4) + 3 * 5 * 6 + 3 * 2
    level_2 = 6 * (4 * 3 + 3) + 3 * 4 * 6 + 3 * 2
    assert build(adatt).count_params() == level_1 + level_2 + HEADS


def test_parameter_counts_with_a_shared_expert():
    # Four experts in a level; a gate of the shared unit in the first; a single own expert has no weight.
    level_1 = 4 * (5 * 4 + 4) + 4 * 5 * 4
    level_2 = 4 * (4 * 3 + 3) + 3 * 4 * 4
    assert build(shared).count_params() == level_1 + level_2 + HEADS


def test_every_task_reaches_all_experts_and_its_own_gate_in_the_last_level():
    for path, names in reach(build(adatt)).items():
        own = "_2_gate" in path or "_2_own" in path or "logits" in path
        assert names == ({path.split("_")[0]} if own else {"digit", "odd", "size"}), path


def test_values_by_hand():
    model, (x, _) = build(adatt, tasks=TASKS[:2]), batch()
    for name in ("digit", "odd"):
        for level in (1, 2):
            model.get_layer(f"{name}_{level}_own").kernel.assign([0.3, -0.8])
    features = {"digit": x, "odd": x}
    for level in (1, 2):
        experts = {
            name: [dense(model, x, f"{name}_expert_{level}_{index}_1") for index in (1, 2)]
            for name, x in features.items()
        }
        features = {
            name: fused(model, x, experts[name], experts[other], f"{name}_{level}", [0.3, -0.8])
            for (name, x), other in zip(features.items(), ("odd", "digit"), strict=True)
        }
    check_logits(model, x, features)


def test_values_by_hand_with_a_shared_expert():
    model, (x, _) = build(shared, tasks=TASKS[:1]), batch()
    features = {"digit": x, "shared": x}
    for level in (1, 2):
        experts = {name: [dense(model, x, f"{name}_expert_{level}_1_1")] for name, x in features.items()}
        features = {
            name: fused(model, x, experts[name], experts[other], f"{name}_{level}", [1.0])
            for (name, x), other in zip(features.items(), ("shared", "digit"), strict=True)
            if (name, level) != ("shared", 2)
        }
    check_logits(model, x, features)


def dense(model, x, name):
    layer = model.get_layer(f"{name}_dense")
    return np.tanh(x @ layer.kernel.numpy() + layer.bias)


def fused(model, x, own, others, name, weights):
    scores = np.exp(x @ model.get_layer(f"{name}_gate").kernel.numpy())
    gate = scores / scores.sum(axis=1, keepdims=True)
    mixed = np.einsum("be,ebf->bf", gate, np.stack([*own, *others]))
    return mixed + np.einsum("e,ebf->bf", weights, np.stack(own))


def check_logits(model, x, features):
    for name, values in features.items():
        logits = model.get_layer(f"{name}_logits")
        expected = values @ logits.kernel.numpy() + logits.bias
        np.testing.assert_allclose(model(x)[name], expected, rtol=1e-4, atol=1e-5)


def test_own_experts_start_at_their_mean():
    np.testing.assert_allclose(build(adatt).get_layer("odd_1_own").kernel, [0.5, 0.5])


def test_one_expert_of_one_task_has_no_gate():
    model = build(functools.partial(adatt, num_task_experts=1), tasks=TASKS[:1])
    assert model.count_params() == (5 * 4 + 4) + (4 * 3 + 3) + (3 * 3 + 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_levels": 3}, "Every level must have a stage: there are 2 .* Received: num_levels=3"),
        ({"num_task_experts": 0}, "`num_task_experts` must be an integer of at least 1"),
        ({"num_shared_experts": -1}, "`num_shared_experts` must be an integer of at least 0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        adatt(keras.Input((5,)), TASKS, mlp(4, 3), **arguments)
