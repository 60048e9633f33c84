import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import home
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_graph, reach

GROUPS = [["digit", "odd"], ["size"]]
small = functools.partial(home, groups=GROUPS, num_experts=1, gate_rank=2)


def test_contract():
    check_graph(small)


def test_parameter_count():
    # Kinds of the first level: for all, and two groups; in the second each task besides. Of a kind: two gates
    # of rank 2 with a mixture of them, an expert, and four numbers per unit for its normalization.
    level_1 = 3 * ((2 * (5 * 2 + 2 * 5) + 5 * 2) + (5 * 4 + 4) + 4 * 4)
    level_2 = 6 * ((2 * (4 * 2 + 2 * 4) + 4 * 2) + (4 * 3 + 3) + 4 * 3)
    # Gates: a group's over its expert and that for all, that for all over three; each with a self gate.
    gates_1 = 2 * (5 * 2 + 5) + (5 * 3 + 5)
    gates_2 = 3 * (8 * 3 + 8)  # on the features of the group and of all
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(small).count_params() == level_1 + level_2 + gates_1 + gates_2 + heads


def test_who_reaches_what():
    for path, names in reach(build(small)).items():
        first = path.split("/")[0]
        mixes = first.endswith(("meta_gate", "self_gate"))  # what a group's own gates mix is the group's
        if first.startswith("shared") or ("meta" in first and not mixes):
            assert names == {"digit", "odd", "size"}, path
        elif first.startswith("group"):
            assert names == set(GROUPS[int(first.split("_")[1]) - 1]), path
        else:
            assert names == {first.split("_")[0]}, path


def test_values_by_hand():
    model, (x, _) = build(small), batch()
    for layer in model.layers:
        if layer.name.endswith("norm"):
            for value, weight in zip((1.1, 0.2, 0.3, 0.8), layer.weights, strict=True):
                weight.assign(np.full(weight.shape, value))

    def expert(x, name, index):
        dense = model.get_layer(f"{name}_expert_1_{index}_dense")
        y = np.tanh(np.array(model.get_layer(f"{name}_feature_gate")(x)) @ dense.kernel.numpy() + dense.bias)
        y = (y - 0.3) / np.sqrt(0.8 + 1e-3) * 1.1 + 0.2
        return y / (1 + np.exp(-y))

    def mixed(seen, experts, name):
        scores = np.exp(seen @ model.get_layer(f"{name}_gate").kernel.numpy())
        gate = scores / scores.sum(axis=1, keepdims=True)
        alone = 1 / (1 + np.exp(-seen @ model.get_layer(f"{name}_self_gate").kernel.numpy()))
        return np.einsum("be,ebf->bf", gate, np.stack(experts)) + alone * experts[0]

    shared, one, two = (expert(x, f"{kind}_meta", 1) for kind in ("shared", "group_1", "group_2"))
    for_all = mixed(x, [shared, one, two], "shared_meta")
    of_group = {
        "group_1": mixed(x, [one, shared], "group_1_meta"),
        "group_2": mixed(x, [two, shared], "group_2_meta"),
    }
    for name, group in (("digit", "group_1"), ("odd", "group_1"), ("size", "group_2")):
        z = of_group[group]
        experts = [expert(z, name, 1), expert(z, group, 1), expert(for_all, "shared", 1)]
        features = mixed(np.concatenate([z, for_all], axis=1), experts, name)
        logits = model.get_layer(f"{name}_logits")
        expected = features @ logits.kernel.numpy() + logits.bias
        np.testing.assert_allclose(model(x)[name], expected, rtol=1e-4, atol=1e-5)


def test_a_single_stage_has_the_second_level_alone():
    model = home(keras.Input((5,)), TASKS, mlp(4), groups=GROUPS)
    assert model.get_layer("odd_gate").kernel.shape == (5, 6)
    assert not [layer.name for layer in model.layers if "meta" in layer.name]


def test_without_groups_all_tasks_are_one():
    model = home(keras.Input((5,)), TASKS, mlp(4, 3))
    assert model.get_layer("group_1_meta_gate").kernel.shape == (5, 4)
    assert set(mz.introspection.expert_load(model, np.ones((4, 5)))) >= {"digit_gate", "digit_self_gate"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": [["digit"], ["size"]]}, r"each of \['digit', 'odd', 'size'\] in one. Received: groups="),
        ({"groups": [["digit", "odd"], ["odd", "size"]]}, "`groups` must be sequences of task names"),
        ({"groups": [["digit", "odd", "size"], []]}, "`groups` must be sequences of task names"),
        ({"groups": "digit"}, "`groups` must be sequences of task names"),
        ({"num_experts": 0}, "`num_experts` must be an integer of at least 1"),
        ({"gate_rank": 0}, "`gate_rank` must be an integer of at least 1"),
        ({"num_feature_gates": 1.5}, "`num_feature_gates` must be an integer of at least 1"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        home(keras.Input((5,)), TASKS, mlp(4, 3), **arguments)


def test_names_of_parts_are_none_of_tasks():
    tasks = [mz.Task.binary("group_1"), mz.Task.binary("shared_meta")]
    with pytest.raises(ValueError, match=r"not be called as .* Received: \['group_1', 'shared_meta'\]"):
        home(keras.Input((5,)), tasks, mlp(4, 3))
