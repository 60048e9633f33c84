import dataclasses

import keras
import pytest

import mtl_zoo as mz
from mtl_zoo.training.problem import pose, renewed

TASKS = [mz.Task.regression("a"), mz.Task.regression("b")]


def model():
    return mz.architectures.hard_sharing(keras.Input((3,)), TASKS, mz.encoders.mlp(4))


def test_a_problem_is_frozen():
    problem = pose(model(), TASKS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.variables = ()


def test_methods_get_their_state():
    balancer, aggregator = mz.balancers.DWA(), mz.aggregators.MoCo()
    problem = pose(model(), TASKS, balancer, aggregator)
    assert problem.methods == [balancer, aggregator]
    assert balancer.built
    assert sum(v.shape == (2, 12) for v in aggregator.variables) > 0  # of the kernel that both tasks reach
    assert problem.trunk_and_heads == ()


def test_a_problem_is_renewed_where_other_variables_are_trained():
    aggregator = mz.aggregators.MGDA()
    problem = pose(model(), TASKS, aggregator=aggregator, space="representation")
    assert renewed(problem) is problem
    problem.model.get_layer("a_logits").trainable = False
    new = renewed(problem)
    assert [v.path for v in new.variables] == [v.path for v in problem.model.trainable_variables]
    assert len(new.variables) == len(problem.variables) - 2
    assert len(new.trunk_and_heads) == 2


def test_weights_of_a_task():
    problem = pose(model(), TASKS)
    assert problem.weight_of(TASKS[1], {"b": 2.0}) == 2.0
    assert problem.weight_of(TASKS[0], {"b": 2.0}) is None
    assert problem.weight_of(TASKS[0], 3.0) == 3.0
