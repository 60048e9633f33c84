import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import stem
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_graph, reach

EVERYONE = {"digit", "odd", "size"}


def test_contract():
    check_graph(stem)


def test_parameter_counts():
    # Four tables of 4 on 5 inputs, an expert of 3 on each; per task a gate over all four, and a head.
    tables = 4 * (5 * 4 + 4)
    experts = 4 * (4 * 3 + 3)
    gates = 3 * 4 * 4
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(stem).count_params() == tables + experts + gates + heads
    # Two shared experts, three per task: eleven for each gate.
    more = build(functools.partial(stem, num_shared_experts=2, num_task_experts=3))
    assert more.count_params() == tables + 11 * (4 * 3 + 3) + 3 * 4 * 11 + heads


def test_a_task_changes_its_own_table_and_experts_and_the_shared_ones_alone():
    for path, names in reach(build(stem)).items():
        first = path.split("_")[0]
        assert names == (EVERYONE if first == "shared" else {first}), path


def test_values_by_hand():
    """All experts lie before every task, whoever's they are."""
    model, (x, _) = build(stem), batch()

    def dense(x, name):
        layer = model.get_layer(name)
        return np.tanh(x @ layer.kernel.numpy() + layer.bias)

    names = [task.name for task in TASKS]
    tables = {name: dense(x, f"{name}_1_dense") for name in ("shared", *names)}
    experts = {name: dense(table, f"{name}_expert_1_1_dense") for name, table in tables.items()}
    for name in names:
        order = [name, "shared", *(other for other in names if other != name)]
        scores = np.exp((tables[name] + tables["shared"]) @ model.get_layer(f"{name}_gate").kernel.numpy())
        gate = scores / scores.sum(axis=1, keepdims=True)
        features = np.einsum("be,ebf->bf", gate, np.stack([experts[one] for one in order]))
        logits = model.get_layer(f"{name}_logits")
        expected = features @ logits.kernel.numpy() + logits.bias
        np.testing.assert_allclose(model(x)[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", ["shared", "representation"])
def test_sums_of_gradients_are_gradients_of_sums_in_both_spaces(space):
    weights = []
    for aggregator in (None, mz.aggregators.Sum()):
        model, data = build(stem), batch()
        trainer = mz.Trainer(model, TASKS, aggregator=aggregator, space=space if aggregator else "shared")
        trainer.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
        trainer.train_step(data)
        weights.append(model.get_weights())
    for plain, summed in zip(*weights, strict=True):
        np.testing.assert_allclose(summed, plain, rtol=1e-4, atol=1e-6)


def test_without_tables_experts_see_the_input():
    model = stem(keras.Input((5,)), TASKS, mlp(4))
    assert model.get_layer("odd_expert_1_1_dense").kernel.shape == (5, 4)
    assert model.get_layer("odd_gate").kernel.shape == (5, 4)


def test_one_task_has_two_tables():
    model = build(stem, tasks=TASKS[:1])
    assert model.get_layer("digit_gate").kernel.shape == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_shared_experts": 0}, "`num_shared_experts` must be an integer of at least 1"),
        ({"num_task_experts": -1}, "`num_task_experts` must be an integer of at least 1"),
        ({"table_stages": 2}, "`table_stages` must leave at least one of the encoder's 2 stages"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        stem(keras.Input((5,)), TASKS, mlp(4, 3), **arguments)
