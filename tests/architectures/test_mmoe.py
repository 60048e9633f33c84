import keras
import numpy as np
import pytest

from mtl_zoo.architectures import mmoe
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach


def test_contract():
    check_architecture(mmoe)


def test_parameter_counts():
    # Four experts (4, 3) on 5 inputs; per task a gate without bias and a head for 3 classes, 1 logit or 2
    # numbers.
    experts = 4 * ((5 * 4 + 4) + (4 * 3 + 3))
    gates = 3 * 5 * 4
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(mmoe).count_params() == experts + gates + heads


def test_parameter_count_of_the_paper():
    # Ma et al., section 3.3: 8 experts of 16 units on 100 inputs are 100 * 16 * 8 weights (biases beside).
    model = mmoe(keras.Input((100,)), TASKS[:2], mlp(16), num_experts=8)
    kernels = [v for v in model.trainable_variables if "expert" in v.path and "kernel" in v.path]
    assert sum(int(np.prod(v.shape)) for v in kernels) == 100 * 16 * 8


def test_every_task_reaches_all_experts_and_its_own_gate_and_head():
    for path, names in reach(build(mmoe)).items():
        assert names == ({"digit", "odd", "size"} if "expert" in path else {path.split("_")[0]})


def test_experts_differ_at_initialisation():
    model = build(mmoe)
    kernels = [model.get_layer(f"expert_{index}_1_dense").kernel.numpy() for index in (1, 2, 3, 4)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(kernels) for b in kernels[:i])


def test_values_by_hand():
    model = build(mmoe)
    x, _ = batch()
    experts = np.stack([forward(model, x, f"expert_{index}") for index in (1, 2, 3, 4)], axis=1)
    for task in TASKS:
        scores = np.exp(x @ model.get_layer(f"{task.name}_gate").kernel)
        gate = scores / scores.sum(axis=1, keepdims=True)
        features = np.einsum("be,bef->bf", gate, experts)
        logits = model.get_layer(f"{task.name}_logits")
        expected = features @ logits.kernel + logits.bias
        np.testing.assert_allclose(model(x)[task.name], expected, rtol=1e-4, atol=1e-5)


def forward(model, x, prefix):
    for index in (1, 2):
        layer = model.get_layer(f"{prefix}_{index}_dense")
        x = np.tanh(x @ layer.kernel + layer.bias)
    return x


def test_images_pass_a_shared_stage_before_the_gates():
    model = build(mmoe, "resnet")
    assert model.get_layer("digit_gate").kernel.shape == (2, 4)  # channels of the first stage, averaged
    assert {
        names == {"digit", "odd", "size"}
        for path, names in reach(model, "resnet").items()
        if "shared" in path
    }


@pytest.mark.parametrize("number", [1, 2.5, "3"])
def test_errors(number):
    with pytest.raises(ValueError, match=r"`num_experts` must be an integer of at least 2. Received"):
        mmoe(keras.Input((5,)), TASKS, mlp(3), num_experts=number)


def test_too_many_shared_stages():
    with pytest.raises(ValueError, match=r"must leave at least one of the encoder's 1 stages"):
        mmoe(keras.Input((5,)), TASKS, mlp(3), shared_stages=1)
