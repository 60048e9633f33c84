"""A compiled Keras model, moved: the numbers of plain Keras, then what Keras does not have."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import mtl_zoo as mz

SIZE, LENGTH = 12, 3
NAMES = ("kind", "flag", "age")


def custom(labels, predictions):
    return ops.mean(ops.abs(labels - predictions) ** 1.5, axis=-1)


AGE_LOSSES = {"huber": keras.losses.Huber(), "mse": "mse", "custom": custom}
WAYS = ("plain", "sample weights", "loss weights", "masks")
CASES = [
    (*case, list(AGE_LOSSES)[index % 3])
    for index, case in enumerate(itertools.product(("dict", "list", "single"), (False, True), WAYS))
]


def restructured(values, structure):
    """Return values by output as a model of a structure wants them; of a single one those of `kind`."""
    return {"dict": values, "list": list(values.values()), "single": values["kind"]}[structure]


def make_model(structure, probabilities, masked):
    keras.utils.set_random_seed(1)
    if masked:
        inputs = keras.Input((LENGTH,), dtype="int32", name="tokens")
        embedded = keras.layers.Embedding(10, 4, mask_zero=True)(inputs)
        x = keras.layers.SimpleRNN(5, return_sequences=True)(embedded)
    else:
        inputs = keras.Input((4,), name="x")
        x = keras.layers.Dense(5, activation="tanh")(inputs)
    ends = ("softmax", "sigmoid") if probabilities else (None, None)
    outputs = {
        "kind": keras.layers.Dense(3, activation=ends[0], name="kind")(x),
        "flag": keras.layers.Dense(1, activation=ends[1], name="flag")(x),
        "age": keras.layers.Dense(2, name="age")(x),
    }
    return keras.Model(inputs, restructured(outputs, structure))


def make_data(structure, masked):
    random = np.random.default_rng(0)
    lead = (SIZE, LENGTH) if masked else (SIZE,)
    x = random.normal(size=(SIZE, 4)).astype("float32")
    if masked:
        lengths = random.integers(1, LENGTH + 1, (SIZE, 1))
        x = np.where(np.arange(LENGTH) < lengths, random.integers(1, 10, lead), 0)
    labels = {
        "kind": random.integers(0, 3, lead),
        "flag": random.integers(0, 2, (*lead, 1)).astype("float32"),
        "age": random.normal(size=(*lead, 2)).astype("float32"),
    }
    return x, restructured(labels, structure)


def compile_model(model, structure, probabilities, way, age_loss, **options):
    losses = {
        "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=not probabilities),
        "flag": keras.losses.BinaryCrossentropy(from_logits=not probabilities, label_smoothing=0.1),
        "age": AGE_LOSSES[age_loss],
    }

    def metrics():
        found = {"kind": ["accuracy"], "flag": ["accuracy", "mae"], "age": [keras.metrics.MeanSquaredError()]}
        return restructured(found, structure)

    model.compile(
        keras.optimizers.Adam(0.01),
        restructured(losses, structure),
        metrics=metrics(),
        weighted_metrics=metrics() if way == "sample weights" else None,
        loss_weights=restructured({"kind": 1.0, "flag": 0.5, "age": 2.0}, structure)
        if way == "loss weights"
        else None,
        run_eagerly=True,
        **options,
    )


@pytest.mark.parametrize(("structure", "probabilities", "way", "age_loss"), CASES)
def test_trains_and_measures_as_plain_keras(structure, probabilities, way, age_loss):
    x, y = make_data(structure, way == "masks")
    options = {"epochs": 2, "batch_size": 6, "shuffle": False, "verbose": 0, "validation_data": (x, y)}
    if way == "sample weights":
        weights = dict.fromkeys(NAMES, np.random.default_rng(1).uniform(0, 2, SIZE).astype("float32"))
        options["sample_weight"] = restructured(weights, structure)
    found = []
    for move in (lambda model: model, mz.Trainer.from_compiled):
        model = make_model(structure, probabilities, way == "masks")
        compile_model(model, structure, probabilities, way, age_loss)
        moved = move(model)
        history = moved.fit(x, y, **options).history
        found.append((history, moved.predict(x, verbose=0), model))
    (expected, predictions, _), (history, same, model) = found
    if way == "loss weights":
        history |= {f"{part}loss": history[f"{part}weighted_loss"] for part in ("", "val_")}
    for name, values in expected.items():
        name = (
            name
            if name in history
            else name.replace("val_", "val_kind_")
            if "val_" in name
            else f"kind_{name}"
        )
        np.testing.assert_allclose(history[name], values, rtol=1e-4, err_msg=name)
    if probabilities:  # else `predict` activates the logits
        keras.tree.map_structure(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5), predictions, same
        )


def move(structure="dict", probabilities=True, way="plain", **options):
    model = make_model(structure, probabilities, way == "masks")
    compile_model(model, structure, probabilities, way, "huber")
    return mz.Trainer.from_compiled(model, **options)


def test_logits_are_activated_by_predict_alone():
    trainer = move(probabilities=False)
    x, _ = make_data("dict", False)
    logits, answers = trainer.predict_logits(x, verbose=0), trainer.predict(x, verbose=0)
    np.testing.assert_allclose(logits["kind"], trainer.model.predict(x, verbose=0)["kind"], rtol=1e-5)
    np.testing.assert_allclose(answers["kind"], ops.softmax(logits["kind"]), rtol=1e-5)
    np.testing.assert_allclose(answers["flag"], ops.sigmoid(logits["flag"]), rtol=1e-5)
    np.testing.assert_array_equal(answers["age"], logits["age"])


@pytest.mark.parametrize("structure", ["dict", "list"])
@pytest.mark.parametrize("probabilities", [False, True])
def test_missing_labels_with_an_aggregator(structure, probabilities):
    """Only what is labelled counts: the same losses as of the labelled part alone."""
    trainer = move(structure, probabilities, aggregator=mz.aggregators.PCGrad())
    x, y = make_data(structure, False)
    names = dict(zip(NAMES, y.values() if structure == "dict" else y, strict=True))
    missing = np.random.default_rng(2).random((SIZE, 3)) < 0.3
    for column, (name, values) in enumerate(names.items()):
        values[missing[:, column]] = -1 if name == "kind" else np.nan
    found = trainer.evaluate(x, y, return_dict=True, verbose=0)
    for column, (name, values) in enumerate(names.items()):
        there = ~missing[:, column]
        task = trainer.tasks[[task.name for task in trainer.tasks].index(name)]
        logits = trainer.predict_logits(x, verbose=0)[name]
        expected = task.compute_loss(values[there], logits[there])
        np.testing.assert_allclose(found[f"{name}_loss"], expected, rtol=1e-4)
    trainer.fit(x, y, epochs=1, batch_size=10, verbose=0)
    assert np.isfinite(trainer.evaluate(x, y, return_dict=True, verbose=0)["loss"])


def test_a_dataset_of_lists():
    trainer = move("list")
    x, y = make_data("list", False)
    dataset = tf.data.Dataset.from_tensor_slices((x, tuple(y))).batch(10)
    expected = trainer.evaluate(x, y, batch_size=10, return_dict=True, verbose=0)
    found = trainer.evaluate(dataset, return_dict=True, verbose=0)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_optimizer_and_how_it_runs_are_taken_over():
    model = make_model("dict", True, False)
    compile_model(model, "dict", True, "plain", "mse", steps_per_execution=2)
    trainer = mz.Trainer.from_compiled(model)
    assert trainer.optimizer is model.optimizer
    assert trainer.run_eagerly
    assert trainer.steps_per_execution == 2


def test_names_that_a_task_cannot_have():
    x = keras.Input((4,))
    outputs = {"größe/m": keras.layers.Dense(1)(x), "loss": keras.layers.Dense(1)(x)}
    tasks = mz.tasks_of(keras.Model(x, outputs), "mse")
    assert [(task.name, task.label_name) for task in tasks] == [
        ("gr__e_m", "größe/m"),
        ("loss_output", "loss"),
    ]


def test_outputs_without_a_loss_are_no_tasks():
    tasks = mz.tasks_of(make_model("dict", True, False), {"age": "mae"}, {"age": "mse"})
    assert [task.name for task in tasks] == ["age"]


def test_a_loss_of_whole_examples():
    x = keras.Input((6, 3))
    model = keras.Model(x, keras.layers.Dense(5, name="letters")(x))
    model.compile("sgd", keras.losses.CTC(), run_eagerly=True)
    random = np.random.default_rng(0)
    sounds, letters = random.normal(size=(4, 6, 3)), random.integers(1, 5, (4, 2))
    expected = model.evaluate(sounds, letters, verbose=0)
    found = mz.Trainer.from_compiled(model).evaluate(sounds, letters, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


ENDS = {"kind": "sparse_categorical_crossentropy", "flag": "binary_crossentropy", "age": "mse"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": {"kin": "mse"}}, r"`loss` must be for outputs, which are .* Received: \['kin'\]"),
        ({"loss": ["mse"]}, r"`loss` must be one for each of the outputs .* Received: 1 of them"),
        ({"loss": "ce"}, "A crossentropy must be named whole: .* Received: loss='ce' of output 'kind'"),
        ({"loss": "no_loss"}, "`loss` must be a `keras.losses.Loss`, the name of one, or a function"),
        ({"loss": ENDS, "metrics": {"sex": ["mae"]}}, r"`metrics` must be for outputs"),
        (
            {"loss": ENDS, "metrics": {"age": ["no_metric"]}},
            "A metric must be one that Keras knows by its name",
        ),
        ({"loss": ENDS, "loss_weights": {"sex": 1.0}}, "`loss_weights` must be for outputs"),
        ({"loss": {"age": None}}, "At least one output must have a loss"),
    ],
)
def test_what_does_not_fit_the_outputs(arguments, message):
    with pytest.raises(ValueError, match=message):
        mz.tasks_of(make_model("dict", True, False), **arguments)


def test_what_cannot_be_moved():
    model = make_model("dict", True, False)
    with pytest.raises(ValueError, match="`model` must be compiled with a loss"):
        mz.Trainer.from_compiled(model)
    compile_model(model, "dict", True, "loss weights", "mse")
    with pytest.raises(ValueError, match="either `loss_weights` in `compile` or a `balancer`"):
        mz.Trainer.from_compiled(model, balancer=mz.balancers.Equal())


def test_an_overridden_step_is_told(caplog):
    class Own(keras.Model):
        def train_step(self, data):
            raise AssertionError

    plain = make_model("dict", True, False)
    model = Own(plain.input, plain.output)
    model.compile("sgd", "mse")
    with caplog.at_level("WARNING"):
        mz.Trainer.from_compiled(model)
    assert "`train_step` of Own is not called in training" in caplog.text


@pytest.mark.parametrize(("structure", "probabilities"), [("dict", True), ("list", False)])
def test_a_moved_model_is_exported_as_it_answers(structure, probabilities, tmp_path):
    trainer = move(structure, probabilities)
    mz.exporting.saved_model(trainer.model, trainer.tasks, tmp_path / "1")
    x, _ = make_data(structure, False)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"](x=tf.constant(x))
    answers = trainer.predict(x, verbose=0)
    answers = answers if structure == "dict" else dict(zip(NAMES, answers, strict=True))
    for name, expected in answers.items():
        np.testing.assert_allclose(served[name], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("way", ["arrays", "dataset", "batch"])
def test_a_loss_of_the_whole_batch_needs_all_labels(way):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, keras.layers.Dense(1, name="age")(x))
    model.compile("sgd", lambda labels, outputs: ops.mean(ops.square(labels - outputs)))
    trainer = mz.Trainer.from_compiled(model)
    inputs, labels = np.ones((4, 4), "float32"), np.array([1.0, 2.0, np.nan, 4.0], "float32")
    given = (inputs, labels)
    if way == "dataset":
        given = (tf.data.Dataset.from_tensors((inputs, {"age": labels})),)
    call = trainer.train_on_batch if way == "batch" else trainer.evaluate
    with pytest.raises(ValueError, match=r"Labels of task 'age' must all be there, .* Received: 1 that"):
        call(*given)
    found = trainer.evaluate(inputs, np.ones(4, "float32"), verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(model.evaluate(inputs, np.ones((4, 1), "float32"), verbose=0), rel=1e-5)


def test_a_trained_model_is_saved_with_the_state_of_its_optimizer(tmp_path):
    """In the order of its variables, which that of names, `a`, `b`, `c`, is not."""
    x = keras.Input((3,))
    model = keras.Model(
        x, [keras.layers.Dense(size, name=name)(x) for name, size in (("b", 1), ("c", 2), ("a", 1))]
    )
    model.compile("adam", loss="mse")
    labels = [np.ones((4, 1)), np.ones((4, 2)), np.zeros((4, 1))]
    mz.Trainer.from_compiled(model).fit(np.ones((4, 3)), labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [v.path for v in loaded.optimizer.variables] == [v.path for v in model.optimizer.variables]
    for one, other in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=other.path)
