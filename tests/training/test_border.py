"""All ways in, alike. The data are three batches of two; faults of values are in the last one."""

import dataclasses
import gc
import pickle
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

import mtl_zoo as mz
from mtl_zoo.training.border import Border

TASKS = [mz.Task.classification("kind", 3), mz.Task.binary("click"), mz.Task.regression("price")]
X = {"income": np.arange(6.0)[:, None], "age": np.array([[1.0], [0], [2], [1], [5], [3]])}
Y = {
    "kind": np.array([0, 1, 2, -1, 0, 1]),
    "click": np.array([0, 1, 1, -1, 0, 1]),
    "price": np.array([0.5, np.nan, 2, 3, 4, 5]),
}
W = {"price": np.array([1.0, 2, 0, 1, 1, 3])}


def arrays(x, y, *weights):
    return (x, y), {"sample_weight": weights[0]} if weights else {}


def dataset(*data):
    return (tf.data.Dataset.from_tensor_slices(data).batch(2),), {}


class Batches(keras.utils.PyDataset):
    def __init__(self, data, **kwargs):
        super().__init__(**kwargs)
        self.data = data
        self.epochs = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return keras.tree.map_structure(lambda x: x[2 * index : 2 * index + 2], self.data)

    def on_epoch_end(self):
        self.epochs += 1


def py_dataset(*data):
    return (Batches(data),), {}


def generator(*data):
    batches = Batches(data)
    return ((batches[index] for index in range(3)),), {"steps": 3}


@pytest.fixture(autouse=True, scope="module")
def _leave_iterators_alone():
    """Keep what tests leave from being collected: TensorFlow takes 5 s to destroy an iterator that failed."""
    yield
    gc.freeze()


WAYS = (arrays, dataset, py_dataset, generator)
every_way = pytest.mark.parametrize("way", WAYS)
fit_or_evaluate = pytest.mark.parametrize("method", ["fit", "evaluate"])


def model_by_name(tasks=TASKS):
    """Take a dict whose order is not that of sorted keys."""
    keras.utils.set_random_seed(0)
    inputs = {name: keras.Input((1,), name=name) for name in X}
    joined = keras.layers.Concatenate()([inputs["income"], inputs["age"]])
    outputs = {task.name: keras.layers.Dense(task.output_shape[-1])(joined) for task in tasks}
    return keras.Model(inputs, outputs)


def make_trainer(model=None, tasks=TASKS, eager=True, **arguments):
    trainer = mz.Trainer(model or model_by_name(tasks), tasks, **arguments)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=eager)
    return trainer


@pytest.fixture(scope="module")
def trainer():
    return make_trainer()


def run(trainer, method, way, data, **arguments):
    """Return the logs of one epoch."""
    positional, named = way(*data)
    if method == "evaluate":
        return trainer.evaluate(*positional, **named, batch_size=2, return_dict=True, verbose=0)
    if "steps" in named:
        named = {"steps_per_epoch": named["steps"]}
    arguments = {**named, "batch_size": 2, "shuffle": False, "verbose": 0, **arguments}
    return {key: values[0] for key, values in trainer.fit(*positional, **arguments).history.items()}


def raises(message):
    """Expect one clear line."""
    return pytest.raises(ValueError, match=rf"\A{re.escape(message)}[^\n]*\Z")


def with_labels(**labels):
    return X, {**Y, **{name: np.array(values) for name, values in labels.items()}}


def with_weights(**weights):
    return X, Y, {name: np.array(values) for name, values in weights.items()}


MISSING = "or missing (below 0 or NaN). Received: "
FAULTS = {
    "out of range": (
        with_labels(kind=[0, 1, 2, 0, 3, 7]),
        f"Labels of task 'kind' must be at most 2, {MISSING}2 out of range",
    ),
    "1.1": (
        with_labels(kind=[0, 1, 2, np.nan, 1.1, 1.9]),
        f"Labels of task 'kind' must be whole numbers, {MISSING}2 that are not",
    ),
    "2 for yes": (
        with_labels(click=[0, 0, 0, 0, 0, 2]),
        f"Labels of task 'click' must be at most 1, {MISSING}1 out of range",
    ),
    "half": (
        with_labels(click=[0, 0, 0, 0, 0.5, 1]),
        f"Labels of task 'click' must be whole numbers, {MISSING}1 that are not",
    ),
    "infinite": (
        with_labels(price=[0, 1, 2, 3, 4, -np.inf]),
        f"Labels of task 'price' must be finite, {MISSING}1 out of range",
    ),
    "strings": (with_labels(kind=list("aabbca")), "Labels of task 'kind' must be numbers. Received: "),
    "one-hot": (
        with_labels(kind=np.eye(3)[[0, 1, 2, 0, 1, 2]]),
        "Labels of task 'kind' must have shape (None,). Received: ",
    ),
    "no label": (
        (X, {"kind": Y["kind"], "price": Y["price"]}),
        "Every task must have labels. Received tasks ['kind', 'click', 'price'], but labels ['kind', 'p",
    ),
    "no dict": ((X, Y["kind"]), "Labels must be a dict with the keys ['kind', 'click', 'price']. Received: "),
    "unknown weights": (
        with_weights(clicks=np.ones(6), price=np.ones(6)),
        "Sample weights must be for labels, which are ['kind', 'click', 'price']. Received: weights for "
        "['clicks']",
    ),
    "negative weight": (
        with_weights(click=[1.0, 1, 1, 1, -1, 1]),
        "Sample weights of 'click' must be finite numbers of at least 0. Received: 1 that are not",
    ),
    "NaN as weight": (
        with_weights(click=[1.0, 1, 1, 1, np.nan, np.inf]),
        "Sample weights of 'click' must be finite numbers of at least 0. Received: 2 that are not",
    ),
    "negative weight of all": (
        (X, Y, np.array([1, 1, 1, 1, 1, -3])),
        "Sample weights must be finite numbers of at least 0. Received: 1 that are not",
    ),
    "weights per value": (
        with_weights(click=np.ones((6, 3))),
        "Sample weights of task 'click' must have shape (None,), or more leading axes of its labels' "
        "(None, 1). Received: ",
    ),
    "no input": (
        ({"age": X["age"], "city": X["age"]}, Y),
        "A batch must hold the inputs ['income', 'age']. Received: 1 tensors, without ['income']",
    ),
    "one input": ((X["age"], Y), "A batch must hold the inputs ['income', 'age']. Received: 1 tensors"),
    "a list": (
        ((X["income"], X["age"]), Y),
        "Inputs of a model that has them by name must be a dict with the keys ['income', 'age']. Received: ",
    ),
}
every_fault = pytest.mark.parametrize(("data", "message"), FAULTS.values(), ids=FAULTS)


@every_fault
@fit_or_evaluate
@every_way
def test_a_fault_is_the_same_clear_line_in_every_way_in(trainer, way, method, data, message):
    with raises(message):
        run(trainer, method, way, data)


@every_fault
@every_way
def test_a_fault_in_validation(trainer, way, data, message):
    positional, named = way(*data)
    named = {"validation_steps": named["steps"]} if "steps" in named else named
    validation = (*positional, *named.values()) if way is arrays else positional[0]
    arguments = {"validation_steps": 3} if "validation_steps" in named else {}
    with raises(message):
        run(trainer, "fit", dataset, (X, Y), validation_data=validation, **arguments)


@every_fault
@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_a_fault_in_a_batch(trainer, method, data, message):
    with raises(message):
        getattr(trainer, method)(*data)


@pytest.mark.parametrize("way", [dataset, py_dataset, generator])
def test_a_fault_is_a_clear_line_out_of_a_graph(way):
    data, message = FAULTS["negative weight"]
    with raises(message):
        run(make_trainer(eager=False), "fit", way, data)


def test_a_fault_before_validation_is_split_off(trainer):
    data, message = FAULTS["half"]
    with raises(message):
        run(trainer, "fit", arrays, data, validation_split=0.34)


@pytest.mark.parametrize("weights", [(), (W,), (np.array([1.0, 2, 0, 1, 1, 3]),)])
@fit_or_evaluate
def test_all_ways_give_the_same_numbers(weights, method):
    found = [run(make_trainer(), method, way, (X, Y, *weights)) for way in WAYS]
    for logs in found[1:]:
        assert logs == pytest.approx(found[0], rel=1e-6)
    one_by_one = make_trainer()
    for batch in Batches((X, Y, *weights)):
        one_by_one.train_on_batch(*batch)
    if method == "fit":
        trained = make_trainer()
        run(trained, "fit", generator, (X, Y, *weights))
        for one, other in zip(one_by_one.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


@every_way
def test_weights_of_some_tasks_leave_the_others_alone(way):
    """Checked against NumPy; labels and weights that no task asks for are left out."""
    trainer = make_trainer()
    x = np.concatenate([X["income"], X["age"]], axis=1)
    kernel, bias = (w.numpy() for w in trainer.model.layers[-1].weights)
    squares = (Y["price"] - (x @ kernel + bias)[:, 0]) ** 2
    y, weights = {**Y, "other": np.zeros(6)}, {**W, "other": np.ones(6)}
    logs = run(trainer, "evaluate", way, (X, y, weights))
    plain = run(trainer, "evaluate", way, (X, Y))
    known = [0, 2, 3, 4, 5]
    assert logs["price_loss"] == pytest.approx(
        np.average(squares[known], weights=W["price"][known]), rel=1e-5
    )
    assert logs["kind_loss"] == pytest.approx(plain["kind_loss"])


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@every_way
def test_inputs_are_matched_by_name(way, method, monkeypatch):
    """The unknown one comes between the others, and before both, in sorted order."""
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda message, *values: warnings.append(message % values))
    trainer = make_trainer()
    more = {"city": np.full((6, 1), 9.0), **X, "Id": np.arange(6)}
    found = [run(trainer, "evaluate", way, (inputs, Y)) for inputs in (X, more)]
    assert found[1] == found[0]
    expected = run(make_trainer(), method, way, (X, Y))
    assert run(trainer, method, way, (more, Y)) == expected
    assert warnings == ["The model has no inputs ['Id', 'city']; they are left out."]


def test_inputs_are_matched_by_name_in_predictions(trainer, monkeypatch):
    monkeypatch.setattr(logging, "warning", lambda *_: None)
    more = {"city": np.full((6, 1), 9.0), **X}
    expected = trainer.predict(X, verbose=0)
    for found in (trainer.predict(more, verbose=0), trainer.predict(dataset(more, Y)[0][0], verbose=0)):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_labels_of_a_class_may_be_whole_floats_and_a_binary_task_may_ask_for_probabilities(trainer):
    whole = with_labels(kind=[0.0, 1, 2, np.nan, 0, 1], click=[0.0, 1, 1, np.nan, 0, 1])
    expected, found = (run(trainer, "evaluate", arrays, data) for data in ((X, Y), whole))
    assert found == expected
    soft = dataclasses.replace(TASKS[1], max_label=None)
    Border([soft]).admit(X["age"], {"click": np.array([0.5, 0.1, 0, 1, 1, 1])})


def test_labels_of_unknown_rank(trainer):
    def unknown(x, y):
        return x, {**y, "click": tf.numpy_function(lambda label: label, [y["click"]], tf.int64)}

    (data,), _ = dataset(X, Y)
    with raises("Labels of task 'click' must have a known number of axes, which `tf.numpy_function` and the"):
        trainer.fit(data.map(unknown), verbose=0)

    def known(x, y):
        y["click"].set_shape((None,))
        return x, y

    assert run(make_trainer(), "fit", lambda: ((data.map(unknown).map(known),), {}), ()) == run(
        make_trainer(), "fit", dataset, (X, Y)
    )


def test_inputs_of_unknown_rank(trainer):
    def unknown(x, y):
        return {**x, "age": tf.numpy_function(lambda age: age, [x["age"]], tf.float64)}, y

    (data,), _ = dataset(X, Y)
    with raises("Input 'age' must have a known number of axes, which `tf.numpy_function` and the like lose"):
        trainer.fit(data.map(unknown), verbose=0)


def test_parts_of_different_sizes(trainer):
    with raises("All parts of a batch must have one number of examples. Received: [6, 5]"):
        trainer.train_on_batch(X, {**Y, "price": Y["price"][:5]})


@pytest.mark.parametrize("workers", [{"workers": 2}, {"workers": 1, "use_multiprocessing": True}])
def test_a_py_dataset_keeps_its_workers_and_its_hooks(workers):
    batches = Batches((X, Y), **workers)
    checked, *_ = Border(TASKS).admit(batches)
    assert (checked.workers, checked.use_multiprocessing) == (batches.workers, batches.use_multiprocessing)
    assert checked.num_batches == 3
    trainer = make_trainer()
    history = trainer.fit(batches, epochs=2, shuffle=False, verbose=0).history
    assert batches.epochs > 0
    arrays_ = make_trainer().fit(X, Y, batch_size=2, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], arrays_["loss"], rtol=1e-6)


def test_a_border_can_be_sent_to_another_process():
    border = pickle.loads(pickle.dumps(Border(TASKS, model_by_name())))
    with raises("Labels of task 'click' must be at most 1"):
        border.batch(X, {**Y, "click": np.full(6, 2)})


def test_an_error_of_the_users_own_passes_unchanged(trainer):
    def broken():
        yield from Batches((X, Y))
        raise KeyError("mine")

    with pytest.raises(tf.errors.UnknownError, match="KeyError: 'mine'"):
        trainer.fit(broken(), steps_per_epoch=4, shuffle=False, verbose=0)


WORDS = np.array([["a"], ["b"], ["c"], ["a"], ["b"], ["a"]])


@pytest.mark.parametrize("words", [WORDS, WORDS.astype(object), WORDS.astype("S1"), tf.constant(WORDS)])
@fit_or_evaluate
@every_way
def test_strings_of_numpy_are_inputs(way, method, words):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((1,), dtype="string", name="word")
    x = keras.layers.StringLookup(vocabulary=["a", "b", "c"], output_mode="multi_hot")(inputs)
    model = keras.Model(inputs, {"price": keras.layers.Dense(1)(x)})
    trainer = make_trainer(model, TASKS[2:])
    kernel, bias = (w.numpy() for w in model.layers[-1].weights)
    if method == "fit":
        run(trainer, method, way, (words, Y))
    else:
        predicted = np.array([kernel[1 + "abc".index(word), 0] + bias[0] for word in WORDS[:, 0]])
        logs = run(trainer, method, way, (words, Y))
        assert logs["price_loss"] == pytest.approx(np.nanmean((predicted - Y["price"]) ** 2), rel=1e-5)


TOKENS = [[1, 2], [3], [4, 5, 6], [1], [2, 2], [7]]


def ragged_model(name):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(10, 4, name="embedding")(inputs)
    if name == "attention":
        x = keras.layers.MultiHeadAttention(1, 4)(x, x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, {"price": keras.layers.Dense(1, name="price")(x)})


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("way", [arrays, dataset])
def test_ragged_inputs_work_where_layers_take_them(way, accumulate):
    ragged, model = tf.ragged.constant(TOKENS), ragged_model("average")
    trainer = make_trainer(model, TASKS[2:], accumulate=accumulate)
    table, kernel = (
        model.get_layer("embedding").weights[0].numpy(),
        model.get_layer("price").weights[0].numpy(),
    )
    predicted = np.array([np.mean(table[tokens], axis=0) @ kernel[:, 0] for tokens in TOKENS])
    logs = run(trainer, "evaluate", way, (ragged, Y))
    assert logs["price_loss"] == pytest.approx(np.nanmean((predicted - Y["price"]) ** 2), rel=1e-5)
    assert np.isfinite(run(trainer, "fit", way, (ragged, Y))["price_loss"])


def test_ragged_inputs_are_a_clear_line_where_a_layer_takes_none():
    trainer = make_trainer(ragged_model("attention"), TASKS[2:])
    with raises("Ragged inputs must be something that every layer takes; pad ['tokens'] by `.to_tensor()`."):
        run(trainer, "fit", dataset, (tf.ragged.constant(TOKENS), Y))


def test_ragged_labels_are_a_clear_line():
    tasks = [mz.Task.tagging("tag", 8)]
    with raises("Labels of task 'tag' must be a dense tensor; a `tf.RaggedTensor` of labels becomes one by"):
        Border(tasks).admit(*dataset(np.zeros((6, 3)), {"tag": tf.ragged.constant(TOKENS)})[0])


SPARSE_TASKS = [TASKS[1], TASKS[2]]
BAG = np.random.default_rng(0).integers(0, 2, (6, 8)).astype("float32")


def sparse_trainer(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,), sparse=True, name="bag")
    x = keras.layers.Dense(4, activation="relu")(inputs)
    outputs = {task.name: keras.layers.Dense(1)(x) for task in SPARSE_TASKS}
    return make_trainer(keras.Model(inputs, outputs), SPARSE_TASKS, eager=False, **arguments)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("space", ["shared", "representation"])
def test_sparse_inputs_train_as_dense_ones(space, accumulate):
    trained = []
    for bag in (BAG, tf.sparse.from_dense(BAG)):
        trainer = sparse_trainer(aggregator=mz.aggregators.PCGrad(), space=space, accumulate=accumulate)
        run(trainer, "fit", dataset, (bag, Y))
        trained.append(trainer.get_weights())
    for dense, sparse in zip(*trained, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=1e-5, atol=1e-7)


def tokens_trainer(**arguments):
    keras.utils.set_random_seed(0)
    encoder = mz.encoders.transformer(20, width=4, depth=1, num_heads=1, max_length=5)
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    tasks = [mz.Task.tagging("tag", 3)]
    return make_trainer(mz.architectures.hard_sharing(inputs, tasks, encoder), tasks, **arguments)


def padded(*lengths):
    """Return batches of two, each of another length."""

    def batches():
        for length in lengths:
            yield np.ones((2, length), "int32"), {"tag": np.zeros((2, length), "int64")}

    spec = tf.TensorSpec((None, None), tf.int32), {"tag": tf.TensorSpec((None, None), tf.int64)}
    return tf.data.Dataset.from_generator(batches, output_signature=spec)


@pytest.mark.parametrize(
    "data", [(np.ones((4, 6), "int32"), {"tag": np.zeros((4, 6), int)}), (padded(3, 4, 6),)]
)
def test_sequences_longer_than_positions(data):
    with raises(
        "Input 'tokens' must have at most 5 positions, the `max_length` of layer 'shared_1_positions'. "
        "Received: 6"
    ):
        tokens_trainer().fit(*data, verbose=0)


def test_batches_of_different_lengths_with_accumulate():
    with raises("Batches that `accumulate` joins must have one shape but for the first axis; pad all to one"):
        tokens_trainer(accumulate=2).fit(padded(3, 4), verbose=0)
