"""Gradients of tables, of which the rows that were looked up count, make the update of dense ones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.aggregators import Aggregator
from mtl_zoo.training import gradients, sparse
from mtl_zoo.training.aggregation import join
from mtl_zoo.training.columns import of_rows
from tests.harness import dtype_policy, instance, methods
from tests.training.test_gradients import Recorder

V, WIDTH = 7, 3
AGGREGATORS = methods(mz.aggregators, Aggregator)


def slices(indices, seed=0, width=WIDTH):
    values = np.random.default_rng(seed).normal(size=(len(indices), width)).astype("float32")
    return tf.IndexedSlices(tf.constant(values), tf.constant(indices, tf.int64), tf.constant([V, width]))


def dense(gradient):
    return None if gradient is None else tf.convert_to_tensor(gradient)


def numbers(gradient):
    return dense(gradient).numpy()


# The pieces


def test_rows_are_united_and_duplicates_summed():
    first, second = sparse.united([slices([4, 1, 4]), None, slices([2, 1], 1)])[::2]
    assert first.indices.numpy().tolist() == second.indices.numpy().tolist() == [4, 1, 2]
    one, other = slices([4, 1, 4]).values.numpy(), slices([2, 1], 1).values.numpy()
    np.testing.assert_allclose(first.values, [one[0] + one[2], one[1], np.zeros(WIDTH)], rtol=1e-6)
    np.testing.assert_allclose(second.values, [np.zeros(WIDTH), other[1], other[0]], rtol=1e-6)


def test_indices_of_two_types_are_united():
    small = tf.IndexedSlices(tf.ones((1, WIDTH)), tf.constant([6]), tf.constant([V, WIDTH]))
    found = sparse.united([small, slices([6, 0])])
    assert [g.indices.numpy().tolist() for g in found] == [[6, 0]] * 2
    np.testing.assert_allclose(sparse.total([small, slices([6])]).values, slices([6]).values + 1.0)


def test_nothing_looked_up_has_no_rows():
    found = sparse.total([slices([]), slices([])])
    assert found.values.shape == (0, WIDTH)
    np.testing.assert_array_equal(numbers(found), np.zeros((V, WIDTH)))


@pytest.mark.parametrize(
    "others", [[slices([3, 1], 1)], [tf.ones((V, WIDTH))], [slices([2], 1), slices([3], 2)]]
)
def test_sums_are_those_of_dense_gradients(others):
    given = [slices([3, 3, 5]), *others]
    found = sparse.total(given)
    assert isinstance(found, tf.IndexedSlices) == all(isinstance(g, tf.IndexedSlices) for g in given)
    np.testing.assert_allclose(numbers(found), sum(map(numbers, given)), rtol=1e-6, atol=1e-7)
    if isinstance(found, tf.IndexedSlices):
        assert len(set(found.indices.numpy())) == len(found.indices)


def test_parts_are_an_axis_of_their_own():
    parts = [slices([3, 3]), slices([0], 1), slices([3, 1], 2)]
    expected, shares = np.stack(list(map(numbers, parts))), tf.constant([0.5, 0.2, 0.3])
    found = sparse.stack(parts)
    assert found.values.shape == (3, 3, WIDTH)
    assert found.dense_shape.numpy().tolist() == [V, 3, WIDTH]
    np.testing.assert_allclose(numbers(found), expected.transpose(1, 0, 2), rtol=1e-6)
    whole = sparse.combine_parts(found, shares)
    assert whole.dense_shape.numpy().tolist() == [V, WIDTH]
    np.testing.assert_allclose(numbers(whole), np.tensordot(shares, expected, 1), rtol=1e-6, atol=1e-7)
    mixed = sparse.column([found, tf.ones((3, V, WIDTH))], parts=True)
    assert mixed.indices is None
    np.testing.assert_allclose(mixed.tensors[0], expected, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_of_a_graph(jit_compile):
    """One lookup, that and another, and both once more; under XLA the number of rows is fixed."""
    table, sizes = tf.Variable(tf.reshape(tf.range(14.0), (V, 2))), []

    @tf.function(jit_compile=jit_compile)
    def united(first, second):
        with tf.GradientTape(persistent=True) as tape:
            looked_up = tf.gather(table, first)
            both = tf.concat([looked_up, tf.gather(table, second)], axis=0)
            losses = [tf.reduce_sum(looked_up**2), tf.reduce_sum(both), tf.reduce_sum(both**3)]
        found = [tape.gradient(loss, table) for loss in losses]
        sizes[:] = [sparse._origin(g.indices) for g in found]
        added = sparse.total(found)
        return [tf.convert_to_tensor(g) for g in (*sparse.united(found), added)], added.indices

    first, second = tf.constant([[5, 2, 5]]), tf.constant([[2, 6, 6]])
    (*found, added), rows = united(first, second)
    assert len(set(sizes)) == 2
    table = table.numpy()
    expected = np.zeros((3, V, 2))
    for index in first.numpy().ravel():
        expected[:, index] += [2 * table[index], [1, 1], 3 * table[index] ** 2]
    for index in second.numpy().ravel():
        expected[1:, index] += [[1, 1], 3 * table[index] ** 2]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(added, expected.sum(axis=0), rtol=1e-6)
    kept = [row for row in rows.numpy().tolist() if row >= 0]
    assert sorted(kept) == [2, 5, 6]


# Every method


def rows_of_two_tasks(parts):
    """Return gradients of tables that both tasks reach, that one does, of a kernel, and of tied weights."""

    def table(seed, *lists):
        found = [slices(indices, seed + k) for k, indices in enumerate(lists)]
        return sparse.stack(found) if parts > 1 else sparse.total(found)

    def kernel(seed):
        shape = (parts, V, WIDTH) if parts > 1 else (V, WIDTH)
        return tf.constant(np.random.default_rng(seed).normal(size=shape).astype("float32"))

    first = [
        table(0, [5, 1, 5], [1], [2, 2]),
        table(3, [0], [3], [6, 4]),
        None,
        kernel(6),
        table(7, [1], [2], [3]),
    ]
    second = [table(10, [6, 1], [3, 1], [5]), None, table(13, [2], [2], [0]), kernel(16), kernel(17)]
    return [first, second]


def densified(rows, parts):
    axes = [1, 0, 2] if parts > 1 else [0, 1]
    return [
        [tf.transpose(dense(g), axes) if isinstance(g, tf.IndexedSlices) else g for g in row] for row in rows
    ]


@pytest.mark.parametrize("name", AGGREGATORS)
def test_direction_of_every_method_is_that_of_dense_gradients(name, monkeypatch):
    cls, parts = AGGREGATORS[name], instance(AGGREGATORS[name]).sub_batches
    if name == "GradDrop":  # it draws a number per element
        monkeypatch.setattr(keras.random, "uniform", lambda shape, dtype, seed: tf.fill(shape, 0.5))
    rows = rows_of_two_tasks(parts)
    shares = tf.constant([[0.2, 0.5], [0.5, 0.0], [0.3, 0.5]]) if parts > 1 else None
    answers = []
    for given in (rows, densified(rows, parts)):
        keras.utils.set_random_seed(0)
        aggregator = instance(cls)
        aggregator.build([(2, V * WIDTH)] * 3)
        answers.append(
            [
                join(of_rows(given), 2, aggregator, [2.0, 0.5], present, shares)
                for present in (tf.constant([True, True]), tf.constant([True, False]), None)
            ]
        )
    for found, expected in zip(*answers, strict=True):
        assert found.tasks == expected.tasks
        kinds = [isinstance(g, tf.IndexedSlices) for g in found.gradients]
        assert kinds == [not cls.state_per_parameter, True, True, False, False]
        for one, other in zip(found.gradients, expected.gradients, strict=True):
            np.testing.assert_allclose(numbers(one), numbers(other), rtol=1e-6, atol=1e-6)
        if found.squares is not None:
            np.testing.assert_allclose(found.squares, expected.squares, rtol=1e-6)


def test_blocks_have_the_touched_rows():
    recorder = Recorder()
    found = join(of_rows(rows_of_two_tasks(1)), 2, recorder, [1.0, 1.0]).gradients
    assert [tuple(block.shape) for block in recorder.given[0]] == [
        (2, 5 * WIDTH),
        (2, V * WIDTH),
        (2, V * WIDTH),
    ]
    assert sorted(found[0].indices.numpy()) == [1, 2, 3, 5, 6]
    assert found[0].dense_shape.numpy().tolist() == [V, WIDTH]


def test_scaled_gradients_stay_sparse():
    found = gradients.scaled([None, slices([1, 1])], 0.5)
    assert found[0] is None
    assert found[1].indices.numpy().tolist() == [1, 1]
    np.testing.assert_allclose(found[1].values, 0.5 * slices([1, 1]).values)


# A whole step

TASKS = (mz.Task.binary("a"), mz.Task.regression("b"))
SIZE, WORDS, VOCABULARY = 12, 4, 9


@keras.saving.register_keras_serializable("tests")
class OneHot(keras.layers.Embedding):
    """An embedding that multiplies by the whole table, so that its gradient is dense."""

    def call(self, inputs):
        found = keras.ops.one_hot(inputs, self.input_dim, dtype=self.compute_dtype)
        return keras.ops.matmul(found, self.embeddings)


def make_model(layer, vocabulary=VOCABULARY):
    """Return a model with a table in the trunk, one behind it that both tasks look up, and one of a task."""
    keras.utils.set_random_seed(0)
    words = keras.Input((WORDS,), dtype="int32", name="words")
    other = keras.Input((), dtype="int32", name="other")
    x = mz.layers.SequenceAverage()(layer(vocabulary, 3, mask_zero=True, name="trunk")(words))
    x = keras.layers.Dense(4, "tanh", name="hidden")(x)
    late, own = layer(vocabulary, 3, name="late"), layer(vocabulary, 2, name="own")
    a = keras.layers.Concatenate()([x, keras.layers.Flatten()(late(words))])
    b = keras.layers.Concatenate()([x, late(other), own(other)])
    before = {"a": keras.layers.Dense(3, "tanh")(a), "b": keras.layers.Dense(3, "tanh")(b)}
    logits = {task.name: mz.heads.head(before[task.name], task) for task in TASKS}
    return keras.Model({"words": words, "other": other}, logits)


def make_batch(missing=(0.3, 0.3)):
    random = np.random.default_rng(0)
    words = random.integers(0, 6, (SIZE, WORDS)).astype("int32")
    words[:, 0] = 1 + words[:, 0] % 3  # one of each row at least is no padding
    a, b = (words[:, 0] > 1).astype("int64"), (words.sum(axis=1) / 8.0).astype("float32")
    hidden = random.random((2, SIZE)) < np.array(missing)[:, None]
    labels = {"a": np.where(hidden[0], -1, a), "b": np.where(hidden[1], np.nan, b).astype("float32")}
    return {"words": words, "other": words[:, 1]}, labels


def make_trainer(layer, aggregator="MGDA", optimizer="adam", vocabulary=VOCABULARY, run=None, **options):
    method = None if aggregator is None else instance(AGGREGATORS[aggregator])
    trainer = mz.Trainer(make_model(layer, vocabulary), TASKS, aggregator=method, **options)
    optimizer = optimizer() if callable(optimizer) else optimizer
    trainer.compile(optimizer, **(run or {"run_eagerly": True}))
    return trainer


def weights_of(trainer):
    return {variable.path: variable.numpy() for variable in trainer.model.trainable_variables}


def trained(layer, missing=(0.3, 0.3), steps=2, **options):
    """Return the weights after some steps."""
    trainer = make_trainer(layer, **options)
    for _ in range(steps):
        logs = trainer.train_on_batch(*make_batch(missing), return_dict=True)
    assert logs["skipped_steps"] == 0
    return weights_of(trainer)


def assert_close(found, expected, tolerance=1e-6):
    for (path, value), other in zip(expected.items(), found.values(), strict=True):
        np.testing.assert_allclose(other, value, rtol=tolerance, atol=tolerance, err_msg=path)


def adam(**options):
    return keras.optimizers.Adam(1e-3, **options)


@pytest.fixture(scope="module")
def expected():
    """Weights after two steps with dense gradients, and that all of them moved."""
    found, start = trained(OneHot), weights_of(make_trainer(OneHot))
    pairs = zip(found.values(), start.values(), strict=True)
    assert all(np.abs(after - before).max() > 1e-3 for after, before in pairs)
    return found


SAME = {  # what makes the same update in other ways
    "eager": {},
    "graph": {"run": {"run_eagerly": False}},
    "xla": {"run": {"jit_compile": True}},
    "portions": {"accumulate": 2},
    "scaled": {"optimizer": lambda: keras.optimizers.LossScaleOptimizer(adam())},
    "divided": {"optimizer": lambda: adam(loss_scale_factor=8.0)},
}


@pytest.mark.parametrize("case", SAME)
def test_steps_are_those_of_dense_gradients(case, expected):
    assert_close(trained(keras.layers.Embedding, **SAME[case]), expected)


CASES = {
    "parts and portions": {"aggregator": "MoDo", "accumulate": 2},
    "representation": {"space": "representation", "accumulate": 2},
    "no label": {"aggregator": "NashMTL", "missing": (0.3, 1.0)},
    "sum of portions": {"aggregator": None, "accumulate": 3, "balancer": mz.balancers.Logarithm()},
}


@pytest.mark.parametrize("case", CASES)
def test_steps_of_other_kinds_are_those_of_dense_gradients(case):
    layers = (keras.layers.Embedding, OneHot)
    found, expected = (trained(layer, steps=1, **CASES[case]) for layer in layers)
    assert_close(found, expected)


def test_half_precision():
    def optimizer():
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=256.0)

    with dtype_policy("mixed_float16"):
        layers = (keras.layers.Embedding, OneHot)
        found, expected = (trained(layer, optimizer=optimizer, steps=1) for layer in layers)
    assert_close(found, expected, 1e-3)


@pytest.mark.parametrize("optimizer", [adam, lambda: keras.optimizers.LossScaleOptimizer(adam())])
def test_a_step_that_is_not_finite_changes_nothing(optimizer):
    trainer = make_trainer(keras.layers.Embedding, optimizer=optimizer)
    x, labels = make_batch()
    before, labels["b"][3] = weights_of(trainer), 1e30
    logs = trainer.train_on_batch(x, labels, return_dict=True)
    assert logs["skipped_steps"] == 1
    assert_close(weights_of(trainer), before, 0.0)


def operations_of_table_size(vocabulary, **options):
    """Return the kinds of operations in a training step that make something of a table's size."""
    trainer = make_trainer(keras.layers.Embedding, optimizer="sgd", vocabulary=vocabulary, **options)
    batch = tf.nest.map_structure(tf.constant, make_batch())
    step = tf.function(lambda *batch: trainer.train_step(batch), autograph=False)
    graph = step.get_concrete_function(*batch).graph.as_graph_def(add_shapes=True)
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    sizes = {
        (node.op, dim.size)
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
        for dim in shape.dim
    }
    return {op for op, size in sizes if size > 0 and size % vocabulary == 0}


@pytest.mark.parametrize(
    "options",
    [
        {"aggregator": "MoDo"},
        {"aggregator": "TrimmedMean", "accumulate": 2, "space": "representation"},
        {"aggregator": None, "accumulate": 2, "balancer": mz.balancers.Logarithm()},
    ],
)
def test_nothing_has_the_size_of_the_table(options):
    """But what Keras' layer reads, and the variable itself."""
    assert operations_of_table_size(100_003, **options) == {"ReadVariableOp"}


def test_state_per_parameter_has_the_size_of_the_table():
    assert operations_of_table_size(1_009, aggregator="MoCo") > {"ReadVariableOp"}
