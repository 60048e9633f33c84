import keras
import numpy as np
import pytest

from mtl_zoo.architectures import cgc
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach
from tests.architectures.test_mmoe import forward


def test_contract():
    check_architecture(cgc)


def test_parameter_counts():
    # Two shared experts (4, 3) and two of each of three tasks; a gate over four; heads of 3, 1 and 2 units.
    experts = (2 + 3 * 2) * ((5 * 4 + 4) + (4 * 3 + 3))
    gates = 3 * 5 * (2 + 2)
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(cgc).count_params() == experts + gates + heads


def test_every_task_reaches_its_own_experts_and_the_shared_ones():
    for path, names in reach(build(cgc)).items():
        assert names == ({"digit", "odd", "size"} if path.startswith("shared") else {path.split("_")[0]})


def test_values_by_hand():
    model = build(cgc)
    x, _ = batch()
    for task in TASKS:
        prefixes = [
            f"{task.name}_expert_1_1",
            f"{task.name}_expert_1_2",
            "shared_expert_1_1",
            "shared_expert_1_2",
        ]
        experts = np.stack([forward(model, x, prefix) for prefix in prefixes], axis=1)
        scores = np.exp(x @ model.get_layer(f"{task.name}_1_gate").kernel)
        features = np.einsum("be,bef->bf", scores / scores.sum(axis=1, keepdims=True), experts)
        logits = model.get_layer(f"{task.name}_logits")
        expected = features @ logits.kernel + logits.bias
        np.testing.assert_allclose(model(x)[task.name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["num_shared_experts", "num_task_experts"])
def test_errors(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be an integer of at least 1. Received: {name}=0"):
        cgc(keras.Input((5,)), TASKS, mlp(3), **{name: 0})
