"""What a training does once, and what it does for every task, in numbers of operations instead of time."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

X = np.ones((4, 2), "float32")


class Traced(mz.Trainer):
    """Counts how often its step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


def make(number, **arguments):
    tasks = [mz.Task.classification(f"task_{index}", 3) for index in range(number)]
    x = keras.Input((2,))
    model = keras.Model(x, {task.name: keras.layers.Dense(3)(x) for task in tasks})
    trainer = Traced(model, tasks, **arguments)
    trainer.compile(keras.optimizers.SGD(0.1))
    return trainer, {task.name: np.array([0, 1, 2, -1]) for task in tasks}


def number_of_operations(number):
    trainer, labels = make(number)
    step = tf.function(lambda batch: trainer.train_step(trainer.border.checked(batch)), autograph=False)
    graph = step.get_concrete_function((tf.constant(X), dict(labels.items()))).graph.as_graph_def()
    return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def test_a_task_more_of_the_same_kind_adds_few_operations():
    few, many = number_of_operations(2), number_of_operations(6)
    assert (many - few) / 4 < 55


def test_a_second_fit_traces_nothing_and_takes_the_data_as_they_are():
    trainer, labels = make(2)
    data = tf.data.Dataset.from_tensors((X, labels))
    assert trainer.border.admit(data, in_step=True)[0] is data
    trainer.fit(data, verbose=0)
    before = trainer.traces
    trainer.fit(data, epochs=2, verbose=0)
    assert trainer.traces == before > 0


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_a_step_refuses_wrong_labels_before_anything_changes(steps_per_execution):
    trainer, labels = make(2)
    trainer.compile(keras.optimizers.SGD(0.1), steps_per_execution=steps_per_execution)
    bad = {**labels, "task_1": np.array([0, 3, 4, -1])}
    both = {name: np.stack([good, bad[name]]) for name, good in labels.items()}
    data = tf.data.Dataset.from_tensor_slices((np.stack([X, X]), both))
    reason = r"Labels of task 'task_1' must be at most 2, .* Received: 2 out of range\Z"
    with pytest.raises(ValueError, match=reason):
        trainer.fit(data, verbose=0)
    assert int(trainer.optimizer.iterations) == 1
    weights = trainer.model.get_weights()
    for method in (trainer.fit, trainer.evaluate):
        with pytest.raises(ValueError, match=reason):
            method(data.skip(1), verbose=0)
    for one, other in zip(weights, trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_xla_which_cannot_check_leaves_it_to_the_dataset():
    trainer, labels = make(2)
    data = tf.data.Dataset.from_tensors((X, {**labels, "task_1": np.array([0, 3, 4, -1])}))
    trainer.make_train_function()
    trainer.jit_compile = True
    assert trainer.train_function is None
    with pytest.raises(ValueError, match="Labels of task 'task_1' must be at most 2"):
        trainer.fit(data, verbose=0)
    assert int(trainer.optimizer.iterations) == 0
