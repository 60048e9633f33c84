"""A backward pass that is mapped over the tasks gives what one pass per task gives."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.training import columns, mapping, rows
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.problem import pose
from mtl_zoo.training.step import compute
from tests.harness import dtype_policy

TASKS = [mz.Task.regression(name) for name in "abc"]
SIZE = 8
WORDS = np.arange(4 * SIZE).reshape(SIZE, 4) ** 2 % 7
ENCODER = mz.encoders.mlp(4, 3, activation="tanh")
ARCHITECTURES = [
    *("hard_sharing", "cross_stitch", "sluice", "nddr", "mtan", "mmoe", "cgc", "ple"),
    *("dselect_k", "branching", "aitm", "soft_sharing", "single_task"),
]


def labels(tasks):
    """Return labels, of which the second task misses most."""
    random = np.random.default_rng(1)
    found = {task.name: random.normal(size=(SIZE, 1)).astype("float32") for task in tasks}
    found[tasks[1].name][1:-1] = np.nan
    return {name: tf.constant(values) for name, values in found.items()}


def heads(features, tasks=TASKS):
    return {task.name: mz.heads.head(features, task) for task in tasks}


def everything():
    """A network with an embedding, chance, statistics, penalties, an inner model, and a layer used thrice."""
    penalized = {"kernel_regularizer": "l2", "activity_regularizer": keras.regularizers.L2(0.1)}
    inner_input, again = keras.Input((12,)), layers.Dense(5, "tanh", name="again")
    inner = keras.Model(inner_input, layers.Dense(5, "tanh", **penalized)(inner_input))
    words = keras.Input((4,), dtype="int32")
    embedding = layers.Embedding(7, 3)
    x = inner(layers.Flatten()(embedding(words) + embedding(6 - words)))
    x = layers.Dropout(0.3, seed=1)(layers.BatchNormalization()(again(x)))
    own = {task.name: again(layers.Dense(5, "tanh", **penalized)(x)) for task in TASKS[:2]} | {"c": x}
    return keras.Model(words, {task.name: mz.heads.head(own[task.name], task) for task in TASKS})


def recurrent():
    series = keras.Input((4,))
    return keras.Model(series, heads(layers.LSTM(3)(layers.Reshape((4, 1))(series))))


def at_once():
    """Outputs of one layer: nothing lies behind the last tensors that tasks share."""
    x = keras.Input((4,))
    out = layers.Dense(3)(layers.Dense(4, "tanh")(x))
    return keras.Model(x, {task.name: out[:, i : i + 1] for i, task in enumerate(TASKS)})


def always_map(monkeypatch, most_unrolled=1):
    monkeypatch.setattr(mapping, "MOST_UNROLLED", most_unrolled)
    monkeypatch.setattr(mapping, "MOST_GRADIENTS", 0)


def apart():
    """A task that reaches nothing of what the others share."""
    x = keras.Input((4,))
    shared = layers.Dense(3, "tanh")(x)
    return keras.Model(x, heads(shared, TASKS[:2]) | heads(x, TASKS[2:]))


def answer(model, most_unrolled, wrap, make=mz.aggregators.Mean, number=1, scale=1.0, monkeypatch=None):
    """Return the problem, columns and gradients of a step, which leaves the model as it was."""
    always_map(monkeypatch, most_unrolled)
    problem = pose(model, TASKS, aggregator=make())
    x, y = tf.constant(WORDS, model.input.dtype), labels(TASKS)
    before = [np.array(variable) for variable in model.variables]

    @wrap
    def found():
        step = compute(problem, count(problem, portions((x, y), number)), scale)
        return list(map(list, step.columns)) if wrap is plain else to_lists(step.columns), step.gradients

    result = found()
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return problem, *result


def plain(function):
    return function


def graph(function):
    return tf.function(function, autograph=False)


def xla(function):
    return tf.function(function, autograph=False, jit_compile=True)


def to_lists(found):
    return [list(columns.unstacked(column, len(TASKS))) for column in found]


def check(model, monkeypatch, wrap=graph, tolerance=1e-5, **options):
    """Check what is mapped against passes of their own, eager ones unless XLA's random numbers are needed."""
    _, expected, directions = answer(
        model, 99, xla if wrap is xla else plain, monkeypatch=monkeypatch, **options
    )
    problem, *found = answer(model, 1, wrap, monkeypatch=monkeypatch, **options)
    assert [[g is None for g in x] for x in found[0]] == [[g is None for g in x] for x in expected]
    flat = itertools.chain(*expected, directions)
    pairs = zip(itertools.chain(*found[0], found[1]), flat, strict=True)
    for value, wanted in [pair for pair in pairs if pair[1] is not None]:
        assert isinstance(value, tf.IndexedSlices) == isinstance(wanted, tf.IndexedSlices)
        value, wanted = map(tf.convert_to_tensor, (value, wanted))
        np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance)
    return problem


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture(name, monkeypatch):
    model = getattr(mz.architectures, name)(keras.Input((4,)), TASKS, ENCODER)
    problem = check(model, monkeypatch)
    assert bool(problem.trunk_and_heads) == (name not in ("soft_sharing", "single_task"))


WAYS = pytest.mark.parametrize(
    ("wrap", "options"),
    [
        (graph, {}),
        (xla, {}),
        (plain, {}),
        (graph, {"number": 2}),
        (graph, {"make": mz.aggregators.MoDo}),
        (plain, {"make": mz.aggregators.MoDo}),
        (graph, {"make": mz.aggregators.TrimmedMean, "scale": 1024.0}),
    ],
)


@WAYS
def test_every_way(wrap, options, monkeypatch):
    problem = check(everything(), monkeypatch, wrap, **options)
    assert problem.trunk_and_heads


@pytest.mark.parametrize("make", [recurrent, at_once])
def test_models(make, monkeypatch):
    assert check(make(), monkeypatch).trunk_and_heads


@pytest.mark.parametrize("make", [mz.aggregators.Mean, mz.aggregators.MoDo])
def test_a_task_that_reaches_nothing_of_the_trunk(make, monkeypatch):
    assert check(apart(), monkeypatch, make=make).trunk_and_heads


def test_half_precision(monkeypatch):
    with dtype_policy("mixed_float16"):
        model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, ENCODER)
    check(model, monkeypatch, scale=1024.0, tolerance=1e-3)


def test_gradients_of_what_is_mapped_are_in_one_tensor(monkeypatch):
    model = mz.architectures.hard_sharing(keras.Input((4,)), TASKS, ENCODER)
    always_map(monkeypatch)
    problem, found = pose(model, TASKS, aggregator=mz.aggregators.UPGrad()), []

    @graph
    def step():
        batch = count(problem, portions((tf.constant(WORDS, "float32"), labels(TASKS)), 1))
        found.extend(compute(problem, batch).columns)

    step.get_concrete_function()
    assert [columns.are_stacked(column) for column in found] == [True] * 4 + [False] * 6
    assert [column.shape for column in found[:4]] == [(3, 4, 4), (3, 4), (3, 4, 3), (3, 3)]


def num_nodes(depth, num_tasks, wrap=plain):
    """Return the number of operations in the graph of a step, with those of its functions."""
    tasks = [mz.Task.regression(f"task_{index}") for index in range(num_tasks)]
    model = mz.architectures.hard_sharing(keras.Input((4,)), tasks, mz.encoders.mlp(*[4] * depth))
    problem = pose(wrap(model), tasks, aggregator=mz.aggregators.Mean())

    @graph
    def step():
        batch = count(problem, portions((tf.constant(WORDS, "float32"), labels(tasks)), 1))
        return compute(problem, batch).gradients

    definition = step.get_concrete_function().graph.as_graph_def()
    return len(definition.node) + sum(len(function.node_def) for function in definition.library.function)


def test_the_graph_of_the_trunk_does_not_grow_with_the_tasks(monkeypatch):
    always_map(monkeypatch)
    shallow, deep = (num_nodes(depth, 9) - num_nodes(depth, 6) for depth in (1, 3))
    assert deep == shallow


def is_cut(model, aggregator=mz.aggregators.Mean):
    tasks = [mz.Task.regression(name) for name in model.output]
    return bool(pose(model, tasks, aggregator=aggregator and aggregator()).trunk_and_heads)


def test_what_is_cut():
    """Not for few tasks or a shallow trunk, nor where replicas make statistics together."""
    many = [mz.Task.regression(f"task_{index}") for index in range(6)]

    def model(depth, number=6, **options):
        x = start = keras.Input((4,))
        for _ in range(depth):
            x = layers.BatchNormalization(**options)(layers.Dense(3)(x))
        return keras.Model(start, heads(x, many[:number]))

    assert is_cut(model(4))
    assert not is_cut(model(4), None)
    assert not any(map(is_cut, (model(3), model(6, number=4), model(4, synchronized=True))))


def test_columns_are_added_and_scaled():
    tensor, other = tf.constant([[1.0, 2.0], [3.0, 4.0]]), (None, tf.constant([1.0, 1.0]))
    found = rows.add([tensor, tensor, (None, None)], [tensor, other, tensor], 2)
    np.testing.assert_array_equal(found[0], 2.0 * tensor)
    np.testing.assert_array_equal(found[1], [[1.0, 2.0], [4.0, 5.0]])
    np.testing.assert_array_equal(found[2], tensor)
    scaled = rows.scaled([tensor, other], tf.constant([2.0, 3.0]))
    np.testing.assert_array_equal(scaled[0], [[2.0, 4.0], [9.0, 12.0]])
    assert scaled[1][0] is None
    np.testing.assert_array_equal(scaled[1][1], [3.0, 3.0])
