"""A backward pass that is mapped over one-hot seeds gives what one pass per task gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.training import columns, gradients, mapping, one_hot
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.problem import pose
from mtl_zoo.training.step import compute
from tests.training.test_rows import (
    ENCODER,
    TASKS,
    WAYS,
    WORDS,
    apart,
    check,
    everything,
    graph,
    labels,
    num_nodes,
    plain,
    xla,
)


class Opaque(keras.Model):
    """A model whose graph Keras does not know."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    @property
    def input(self):
        return self.inner.input

    def call(self, inputs, training=None):
        return self.inner(inputs, training=training)


def architecture(name):
    return Opaque(getattr(mz.architectures, name)(keras.Input((4,)), TASKS, ENCODER))


def blocked():
    """A task that reaches the trunk only where gradients do not pass, and shares a layer behind it."""
    x = keras.Input((4,))
    trunk, behind = layers.Dense(3, "tanh")(x), layers.Dense(3, "tanh")
    ways = [trunk, behind(trunk), behind(layers.Lambda(tf.stop_gradient)(trunk))]
    outputs = {task.name: mz.heads.head(way, task) for task, way in zip(TASKS, ways, strict=True)}
    return Opaque(keras.Model(x, outputs))


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(one_hot, "MOST_IN_VAIN", 99)
    return monkeypatch


def is_mapped(model, tasks=TASKS, wrap=graph):
    problem, found = pose(model, tasks, aggregator=mz.aggregators.Mean()), []

    @wrap
    def step():
        batch = count(problem, portions((tf.constant(WORDS, "float32"), labels(tasks)), 1))
        found.extend(compute(problem, batch).columns)
        return tf.zeros(())

    step()
    return any(map(columns.are_stacked, found))


@pytest.mark.parametrize("name", ["hard_sharing", "cross_stitch", "mmoe", "single_task"])
def test_architectures(name, always):
    assert check(architecture(name), always).by_seeds


@WAYS
def test_every_way(wrap, options, always):
    check(Opaque(everything()), always, wrap, **options)


@pytest.mark.parametrize("make", [blocked, lambda: Opaque(apart())])
def test_what_a_task_does_not_reach_stays_none(make, always):
    check(make(), always)


def test_not_mapped(monkeypatch):
    """A functional model, eager steps, joint statistics, few tasks, and what would be mostly in vain."""
    model, alone = architecture("hard_sharing"), architecture("single_task")
    x = keras.Input((4,))
    joint = layers.BatchNormalization(synchronized=True)(layers.Dense(2)(x))
    joint = Opaque(keras.Model(x, dict.fromkeys("abc", layers.Dense(1)(joint))))
    assert not is_mapped(model)
    monkeypatch.setattr(mapping, "MOST_UNROLLED", 1)
    monkeypatch.setattr(mapping, "MOST_GRADIENTS", 0)
    assert is_mapped(model)
    assert not any(map(is_mapped, (joint, alone)))
    assert not pose(model.inner, TASKS).by_seeds
    assert not is_mapped(model, wrap=plain)
    monkeypatch.setattr(one_hot, "MOST_IN_VAIN", 99)
    assert not is_mapped(alone)  # nothing is shared


def test_gradients_from_a_tape_alone(always):
    always.setattr(mapping, "MOST_GRADIENTS", 0)
    x, y = tf.Variable([1.0, 2.0]), tf.Variable(np.arange(1.0, 7.0), dtype="float32")
    aggregator = mz.aggregators.MGDA()
    aggregator.build([(6, 2), (6, 6)])

    def found():
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_sum(x**power) * y[power] for power in range(6)]
        return gradients.multitask(tape, losses, [x, y], aggregator=aggregator)

    always.setattr(one_hot, "MOST_IN_VAIN", 0)
    expected = graph(found)()
    always.setattr(one_hot, "MOST_IN_VAIN", 99)
    for wrap in (graph, xla):
        np.testing.assert_allclose(wrap(found)()[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found()[0], expected[0], rtol=1e-5)


def test_the_graph_of_the_trunk_does_not_grow_with_the_tasks(always):
    always.setattr(mapping, "MOST_GRADIENTS", 0)
    shallow, deep = (num_nodes(depth, 9, Opaque) - num_nodes(depth, 6, Opaque) for depth in (1, 3))
    assert deep == shallow


@pytest.mark.parametrize(
    ("loss", "gradient", "expected"),
    [(np.nan, np.nan, [False, True, False]), (1.0, np.nan, [True] * 3), (1.0, 1.0, [False] * 3)],
)
def test_a_loss_that_is_not_finite_is_named_alone(loss, gradient, expected):
    """As the gradients of all tasks may be spoilt by it."""
    problem = pose(architecture("hard_sharing"), TASKS, aggregator=mz.aggregators.Mean())
    step = compute(problem, count(problem, portions((tf.constant(WORDS, "float32"), labels(TASKS)), 1)))
    object.__setattr__(step, "columns", [tf.fill((3, 2), gradient)])
    object.__setattr__(step, "losses", tf.constant([1.0, loss, 1.0]))
    np.testing.assert_array_equal(step.suspects(), expected)
