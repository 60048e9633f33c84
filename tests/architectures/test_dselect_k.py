import functools

import numpy as np

from mtl_zoo.architectures import dselect_k
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach
from tests.architectures.test_mmoe import forward


def test_contract():
    check_architecture(dselect_k)


def test_contract_per_example_with_experts_that_are_no_power_of_two():
    check_architecture(functools.partial(dselect_k, num_experts=3, per_example=True))


def test_parameter_counts():
    # Four experts (4, 3) on 5 inputs; a static gate has 2 selectors of 2 bits and their 2 mixture weights.
    experts = 4 * ((5 * 4 + 4) + (4 * 3 + 3))
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(dselect_k).count_params() == experts + 3 * (2 * 2 + 2) + heads
    per_example = build(functools.partial(dselect_k, per_example=True))
    assert per_example.count_params() == experts + 3 * (5 + 1) * (2 * 2 + 2) + heads


def test_every_task_reaches_all_experts_and_its_own_gate_and_head():
    for path, names in reach(build(dselect_k)).items():
        assert names == ({"digit", "odd", "size"} if "expert" in path else {path.split("_")[0]})


def test_the_penalty_of_every_gate_is_in_the_losses_in_training_as_in_inference():
    model = build(functools.partial(dselect_k, entropy=0.5))
    x, _ = batch()
    for training in (False, True):
        model(x, training=training)
        assert len(model.losses) == len(TASKS)
        assert all(float(loss) > 0.5 for loss in model.losses)  # nearly 0.5 * 2 * log 4


def test_decided_gates_pass_the_mean_of_their_experts():
    model = build(dselect_k)
    x, _ = batch()
    for task in TASKS:
        gate = model.get_layer(f"{task.name}_gate")
        gate.bit_bias.assign([-1.0, -1.0, 1.0, 1.0])  # experts 1 and 4
        gate.mixture_bias.assign([0.0, 0.0])
    features = (forward(model, x, "expert_1") + forward(model, x, "expert_4")) / 2
    for task in TASKS:
        logits = model.get_layer(f"{task.name}_logits")
        expected = features @ logits.kernel + logits.bias
        np.testing.assert_allclose(model(x)[task.name], expected, rtol=1e-4, atol=1e-5)
