import functools

import keras
import numpy as np
import pytest

from mtl_zoo.architectures import cgc, ple
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach


def test_contract():
    check_architecture(ple)


def test_parameter_counts():
    # Level 1: 2 + 3 * 2 experts of 4 units on 5 inputs; gates over 4 experts per task, over all 8 for the
    # shared features. Level 2: as many experts of 3 units on 4 inputs; gates per task only.
    level_1 = 8 * (5 * 4 + 4) + 3 * 5 * 4 + 5 * 8
    level_2 = 8 * (4 * 3 + 3) + 3 * 4 * 4
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(ple).count_params() == level_1 + level_2 + heads


def test_tasks_meet_in_the_first_level_and_keep_their_last_experts():
    everyone = {"digit", "odd", "size"}
    for path, names in reach(build(ple)).items():
        name, *rest = path.split("_")
        if name == "shared" or "expert_1" in path:  # the shared gate passes every expert of level 1 on
            assert names == everyone
        else:
            assert names == {name}, rest


def test_one_level_is_cgc():
    one = build(functools.partial(ple, num_levels=1))
    other = build(cgc)
    one.set_weights(other.get_weights())
    x, _ = batch()
    for name, logits in other(x).items():
        np.testing.assert_allclose(one(x)[name], logits, rtol=1e-6)


def test_values_by_hand():
    model = build(functools.partial(ple, num_shared_experts=1, num_task_experts=1), tasks=TASKS[:2])
    x, _ = batch()

    def dense(x, name):
        layer = model.get_layer(f"{name}_dense")
        return np.tanh(x @ layer.kernel + layer.bias)

    def gated(x, experts, name):
        scores = np.exp(x @ model.get_layer(f"{name}_gate").kernel)
        return np.einsum("be,ebf->bf", scores / scores.sum(axis=1, keepdims=True), np.stack(experts))

    common = dense(x, "shared_expert_1_1_1")
    digit, odd = (dense(x, f"{name}_expert_1_1_1") for name in ("digit", "odd"))
    shared = gated(x, [common, digit, odd], "shared_1")
    own = {"digit": gated(x, [digit, common], "digit_1"), "odd": gated(x, [odd, common], "odd_1")}
    common = dense(shared, "shared_expert_2_1_1")
    for name, features in own.items():
        features = gated(features, [dense(features, f"{name}_expert_2_1_1"), common], f"{name}_2")
        logits = model.get_layer(f"{name}_logits")
        expected = features @ logits.kernel + logits.bias
        np.testing.assert_allclose(model(x)[name], expected, rtol=1e-4, atol=1e-5)


def test_levels_divide_the_stages_the_first_taking_what_is_over():
    model = ple(keras.Input((5,)), TASKS, mlp(4, 3, 2), num_levels=2)
    names = [layer.name for layer in model.layers]
    assert "shared_expert_1_1_2_dense" in names
    assert "shared_expert_2_1_1_dense" in names
    assert "shared_expert_2_1_2_dense" not in names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_levels": 3}, "Every level must have a stage: there are 2 .* Received: num_levels=3"),
        ({"num_levels": 0}, "`num_levels` must be an integer of at least 1. Received: num_levels=0"),
        ({"num_shared_experts": 0}, "`num_shared_experts` must be an integer of at least 1"),
        ({"num_task_experts": -1}, "`num_task_experts` must be an integer of at least 1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        ple(keras.Input((5,)), TASKS, mlp(4, 3), **arguments)
