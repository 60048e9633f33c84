import dataclasses

import keras

from mtl_zoo.auxiliary import auxiliary_tasks
from mtl_zoo.task import Task


def test_auxiliary_tasks_are_those_of_the_initial_outputs():
    names = [
        "a", "b", "a_initial", "b_initial_2", "b_initial_1", "b_initial_x", "a_initialized", "c_initial",
        "a_initial_1", "a_initial_1_initial",
    ]  # fmt: skip
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {name: keras.layers.Dense(1)(inputs) for name in names})
    tasks = [Task.binary("a"), Task.regression("b"), Task.binary("a_initial_1")]
    found = auxiliary_tasks(model, tasks)
    assert [(task.name, task.label_name) for task in found] == [
        ("a_initial", "a"), ("b_initial_2", "b"), ("b_initial_1", "b"), ("a_initial_1_initial", "a_initial_1")
    ]  # fmt: skip
    assert found[0] == dataclasses.replace(tasks[0], name="a_initial", metrics=())
    assert found[1].loss is tasks[1].loss
