import functools

import keras
import numpy as np
import pytest

from mtl_zoo.architectures import branching, single_task
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach, warm


def test_contract():
    check_architecture(branching, fixed=("branch_",), draws=True, steps=8)


def test_parameter_counts():
    # Three nodes in each of two stages (4 and 3 units); logits of 3 children over 3 parents after each stage,
    # and the progress of training.
    nodes = 3 * ((5 * 4 + 4) + (4 * 3 + 3))
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(branching).count_params() == nodes + 2 * (3 * 3 + 1) + heads


def test_all_tasks_reach_all_nodes_while_they_warm_up_and_choices_in_the_search():
    everyone = {"digit", "odd", "size"}
    for path, names in reach(warm(build(branching))).items():
        head = "logits" in path and "branch" not in path
        assert names == ({path.split("_")[0]} if head else set() if "branch" in path else everyone)
    searching = reach(build(branching))
    assert all(names for path, names in searching.items() if "branch" in path)


def test_separate_branches_make_separate_networks():
    model, separate = build(branching), build(single_task)
    for index in (1, 2):
        model.get_layer(f"branch_{index}").logits.assign(np.eye(3))
    for node, task in enumerate(TASKS, start=1):
        for index in (1, 2):
            layer = separate.get_layer(f"{task.name}_{index}_dense")
            layer.set_weights(model.get_layer(f"node_{node}_{index}_dense").get_weights())
        name = f"{task.name}_logits"
        separate.get_layer(name).set_weights(model.get_layer(name).get_weights())
    x, _ = batch()
    for name, logits in separate(x).items():
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-5, atol=1e-6)


def test_the_number_of_branches_is_free():
    model = build(functools.partial(branching, num_branches=2))
    assert model.get_layer("branch_1").logits.shape == (2, 2)
    assert model.get_layer("branch_2").logits.shape == (3, 2)


def test_errors():
    with pytest.raises(
        ValueError, match=r"`num_branches` must be an integer of at least 1. Received: num_branches=0"
    ):
        branching(keras.Input((5,)), TASKS, mlp(3), num_branches=0)
