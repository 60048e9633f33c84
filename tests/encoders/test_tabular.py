import contextlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.encoders import encode, tabular, tabular_inputs
from mtl_zoo.encoders.tabular import MISSING

NAN = np.nan
DATA = {
    "age": np.array([20.0, 40.0, NAN, 60.0]),
    "job": np.array(["nurse", "pilot", "nurse", "cook"]),
    "rooms": np.array([3, -1, 7, 3]),
    "price": np.array([[1.0], [1.0], [1.0], [1.0]], "float32"),
}
NUMBERS = {"age": DATA["age"], "price": DATA["price"]}
TASKS = [mz.Task.binary("owner"), mz.Task.regression("income")]
LABELS = {"owner": np.array([0, 1, 1, 0]), "income": np.array([1.0, NAN, 3.0, 4.0], "float32")}


def model_of(data, *units, **arguments):
    inputs = tabular_inputs(data)
    return keras.Model(inputs, encode(inputs, tabular(data, *units, **arguments), "shared"))


def tensors(data):
    return {name: tf.constant(column.reshape(-1, 1)) for name, column in data.items()}


def test_numbers_are_normalized_and_missing_ones_are_the_mean():
    # The mean of 20, 40, 60 is 40 and the variance 800 / 3; a constant is 0, and 1 more where it is 1 more.
    found = model_of(NUMBERS)(
        {"age": np.array([[20.0], [NAN], [80.0]]), "price": np.array([[1.0], [1], [2]])}
    )
    age = np.array([-20, 0, 40]) / np.sqrt(800 / 3)
    np.testing.assert_allclose(found, np.stack([age, [0, 0, 1]], axis=1), rtol=1e-5)


def test_a_column_without_any_number_passes_numbers_on():
    model = model_of({"age": np.full(3, NAN)})
    np.testing.assert_array_equal(model({"age": np.array([[NAN], [2.0]])}), [[0], [2]])


def test_categories_have_vectors_of_their_own_and_all_others_share_one():
    model = model_of({"job": DATA["job"]}, embedding_dim=3)
    assert model.count_params() == (3 + 1) * 3
    table = model.get_layer("shared_1_job_embedding").get_weights()[0]
    jobs = np.array([["cook"], ["nurse"], ["pilot"], ["judge"], [""], ["[UNK]"]])
    np.testing.assert_array_equal(model({"job": tf.constant(jobs)}), table[[1, 2, 3, 0, 0, 0]])


@pytest.mark.parametrize(
    ("column", "unknown"),
    [
        (np.array([-1, 0, 5, -1]), 4),  # Keras' own number for what is unknown is an ordinary one
        (np.array([7, 250], "uint8"), 0),
        (np.array([True, False]), 2),
        (np.array(["[UNK]", "", "z"]), "a"),
        (np.array(["naïve", "å"]), "?"),
        (np.array(["naïve".encode(), b"z"]), "?"),
        (np.array(["a", b"b"], dtype=object), "c"),
    ],
)
def test_any_word_and_integer_is_a_category(column, unknown):
    model = model_of({"c": column}, embedding_dim=2)
    table = model.get_layer("shared_1_c_embedding").get_weights()[0]
    dtype = model.input["c"].dtype
    known = np.array(sorted({x.decode() if isinstance(x, bytes) else x for x in column.tolist()}))
    assert len(table) == len(known) + 1
    found = model({"c": tf.constant(np.append(known, [unknown]).reshape(-1, 1), dtype)})
    np.testing.assert_array_equal(found, table[[*range(1, len(table)), 0]])


def test_parameter_counts():
    # Two vocabularies of 3 and an unknown one each, of 5 numbers; two numbers; then a layer of 6 units.
    assert model_of(DATA, 6, embedding_dim=5).count_params() == 2 * (3 + 1) * 5 + (2 + 2 * 5 + 1) * 6


def test_inputs_carry_names_types_and_shapes():
    found = {name: (x.name, x.dtype, x.shape) for name, x in tabular_inputs(DATA).items()}
    dtypes = {"age": "float32", "job": "string", "rooms": "int64", "price": "float32"}
    assert found == {name: (name, dtype, (None, 1)) for name, dtype in dtypes.items()}


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("axis", [False, True])
def test_a_dataset_in_batches_gives_what_arrays_give(pairs, axis):
    columns = {name: x.reshape(-1, 1) if axis else x.reshape(-1) for name, x in DATA.items()}
    data = tf.data.Dataset.from_tensor_slices((columns, LABELS)).batch(3)
    data = data if pairs else data.map(lambda x, y: x)
    keras.utils.set_random_seed(1)
    streamed = model_of(data, 2)
    keras.utils.set_random_seed(1)
    at_once = model_of(DATA, 2)
    np.testing.assert_allclose(streamed(tensors(DATA)), at_once(tensors(DATA)), rtol=1e-6)


def test_moments_do_not_cancel():
    x = 1e9 + np.random.default_rng(0).normal(size=(50, 20))
    first, *_ = tabular([{"t": batch} for batch in x])
    column = first.keywords["columns"]["t"]
    np.testing.assert_allclose(column.mean, x.mean(), rtol=1e-15)
    np.testing.assert_allclose(column.squares / column.count, x.var(), rtol=1e-6)


IDS = np.array([16777216, 16777217, 16777218, 2**62, 2**62 + 1, 2**63 - 1, -(2**63)])


def test_ids_of_64_bits_have_vectors_of_their_own():
    model = model_of({"user": IDS}, embedding_dim=2)
    assert model.input["user"].dtype == "int64"
    vectors = model.get_layer("shared_1_user_embedding").get_weights()[0]
    found = model({"user": tf.constant([*IDS.tolist(), 16777219, 0], "int64")[:, None]}).numpy()
    np.testing.assert_array_equal(found, vectors[[2, 3, 4, 5, 6, 7, 1, 0, 0]])
    assert len(np.unique(vectors, axis=0)) == len(vectors) == 8


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_integers_that_are_numbers_are_exact(batches):
    x = 1_700_000_000_000_000_001 + 3 * np.random.default_rng(0).permutation(50)
    data = [{"t": batch} for batch in np.split(np.append(x, [MISSING] * 50), batches)]
    inputs = tabular_inputs(data)
    model = keras.Model(inputs, encode(inputs, tabular(data, numbers=["t"]), "shared"))
    assert inputs["t"].dtype == "int64"
    exact = (x - x.min()).astype("float64")
    expected = np.append((exact - exact.mean()) / exact.std(), 0)
    found = model({"t": tf.constant(np.append(x, MISSING)[:, None])})[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_integers_that_are_numbers_without_any_value():
    data = {"t": np.full(3, MISSING)}
    model = keras.Model(inputs := tabular_inputs(data), encode(inputs, tabular(data, numbers=["t"]), "s"))
    np.testing.assert_array_equal(model({"t": tf.constant([[MISSING], [2]])}), [[0], [2]])


@pytest.mark.parametrize("numbers", [["rooms"], ["rooms", "age"]])
def test_numbers_come_first_wherever_they_are(numbers):
    model = keras.Model(inputs := tabular_inputs(DATA), encode(inputs, tabular(DATA, numbers=numbers), "s"))
    rooms = DATA["rooms"]
    np.testing.assert_allclose(model(tensors(DATA))[:, 1], (rooms - rooms.mean()) / rooms.std(), rtol=1e-5)


def test_integers_that_are_numbers_may_come_as_floats():
    data = {"age": np.array([20, 40, 60])}
    inputs = {"age": keras.Input((1,), name="age")}
    model = keras.Model(inputs, encode(inputs, tabular(data, numbers=["age"]), "shared"))
    found = model({"age": np.array([[20.0], [NAN], [60.5]])})[:, 0]
    np.testing.assert_allclose(found, np.array([-20, 0, 20.5]) / np.sqrt(800 / 3), rtol=1e-5)


@pytest.mark.parametrize("missing", [True, False])
def test_missing_categories_are_one_more_or_else_unknown(missing):
    words = np.array(["nurse", "pilot"] + [""] * missing)
    shops = np.array([3, 5] + [MISSING] * missing)
    for column, absent in ((words, ""), (shops, MISSING)):
        model = model_of({"c": column}, embedding_dim=2)
        vectors = model.get_layer("shared_1_c_embedding").get_weights()[0]
        dtype = model.input["c"].dtype
        unknown = "judge" if dtype == "string" else 4
        found = model({"c": tf.constant([[absent], [unknown]], dtype)})
        np.testing.assert_array_equal(found, vectors[[1 if missing else 0, 0]])


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged."""
    found = []
    monkeypatch.setattr("absl.logging.warning", lambda text, *values: found.append(text % values))
    return found


@pytest.mark.parametrize(
    ("column", "warned"),
    [
        (1.7e9 + np.arange(9), True),
        (-1e9 + 0.01 * np.arange(9), True),
        (1990.0 + np.arange(9), False),
        (1e-9 * np.arange(9), False),
        (np.full(9, 0.1), False),
        (np.full(9, 0.1, "float32"), False),
        (np.full(9, NAN), False),
        (1_700_000_000 + np.arange(9), False),
    ],
)
def test_numbers_that_float32_cannot_tell_apart_are_warned_of(warnings, column, warned):
    tabular({"t": column}, numbers=["t"])
    assert len(warnings) == warned
    assert all(text.startswith("The numbers of column 't' differ by about") for text in warnings)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (["job"], r"`numbers` must name columns of numbers, among \['age', .*numbers=\('job',\)"),
        (["floor"], r"`numbers` must name columns of numbers, among .*numbers=\('floor',\)"),
        ("age", "`numbers` must be a sequence of strings"),
    ],
)
def test_numbers_that_are_none(numbers, message):
    with pytest.raises(ValueError, match=message):
        tabular(DATA, numbers=numbers)


def test_numbers_that_are_too_large():
    with pytest.raises(ValueError, match=r"The numbers of column 't' must be within 2\*\*62"):
        tabular({"t": np.array([0, 2**62 + 1])}, numbers=["t"])
    with pytest.raises(ValueError, match=r"column 't' must be below 2\*\*63. Received: 9223372036854775808"):
        tabular({"t": np.array([2**63], "uint64")})


def test_the_data_is_read_once():
    reads = []

    def batches():
        reads.append("read")
        yield {"age": np.array([1.0, 3.0])}

    data = tf.data.Dataset.from_generator(batches, output_signature={"age": tf.TensorSpec([None])})
    encoder = tabular(data, 2)
    for name in ("a", "b"):
        encode({"age": keras.Input((1,))}, encoder, name)
    assert reads == ["read"]


def test_every_call_makes_fresh_embeddings():
    encoder, inputs = tabular(DATA, 2), tabular_inputs(DATA)
    models = [keras.Model(inputs, encode(inputs, encoder, name)) for name in ("a", "b")]
    variables = [{id(variable) for variable in model.variables} for model in models]
    assert not variables[0] & variables[1]
    first, second = (model.layers[-2].name for model in models)
    assert (first[0], second[0]) == ("a", "b")


def test_columns_without_a_second_axis():
    inputs = {name: keras.Input((), dtype=x.dtype, name=name) for name, x in tabular_inputs(DATA).items()}
    model = keras.Model(inputs, encode(inputs, tabular(DATA), "shared"))
    assert model.output.shape == (None, 2 + 2 * 8)
    flat = {name: tf.constant(x.reshape(-1)) for name, x in DATA.items()}
    np.testing.assert_array_equal(model(flat)[:, :2], model_of(NUMBERS)(tensors(NUMBERS)))


def test_half_precision_keeps_the_numbers_before_normalization():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = model_of({"year": np.array([1990.0, 1991.0]), "job": np.array(["a", "b"])})
    finally:
        keras.config.set_dtype_policy(policy)
    found = model({"year": tf.constant([[1990.0], [1991.0]]), "job": tf.constant([["a"], ["b"]])})
    assert found.dtype == tf.bfloat16  # which has no number between 1984 and 1992
    np.testing.assert_array_equal(tf.cast(found[:, 0], "float32"), [-1, 1])


@pytest.mark.parametrize(("data", "compiles"), [(NUMBERS, True), (DATA, False)])
def test_training_compiles_with_xla_where_it_can(data, compiles):
    model = mz.architectures.hard_sharing(tabular_inputs(data), TASKS, tabular(data, 4))
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.PCGrad())
    trainer.compile(keras.optimizers.SGD(0.01), jit_compile="auto")
    assert keras.src.trainers.trainer.model_supports_jit(trainer) == compiles
    expected = (
        contextlib.nullcontext() if compiles else pytest.warns(UserWarning, match="doesn't support `jit")
    )
    with expected:
        trainer.compile(keras.optimizers.SGD(0.01), jit_compile=True)
    assert trainer.jit_compile == compiles
    batches = tf.data.Dataset.from_tensors((tensors(data), LABELS))
    history = trainer.fit(batches, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


ROWS = {"age": [33.0, NAN], "job": ["pilot", "judge"], "rooms": [7, 8], "price": [1.0, 2.0]}
CLIENT = """
import json, sys
sys.modules.update(keras=None, mtl_zoo=None)
import tensorflow as tf
path, rows = sys.argv[1], json.loads(sys.argv[2])
signature = tf.saved_model.load(path).signatures["serving_default"]
types = {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()}
answer = signature(**{name: tf.constant([[x] for x in column], types[name]) for name, column in rows.items()})
print(json.dumps({name: x.numpy().tolist() for name, x in answer.items()}))
"""


@pytest.fixture(scope="module")
def trained():
    """A model of towers that each have all columns, after a step of training on a dataset."""
    data = tf.data.Dataset.from_tensor_slices((DATA, LABELS)).batch(4)
    model = mz.architectures.soft_sharing(tabular_inputs(data), TASKS, tabular(data, 4))
    trainer = mz.Trainer(model, TASKS, mz.balancers.Uncertainty(), mz.aggregators.MGDA())
    trainer.compile(keras.optimizers.SGD(0.1))
    start = model.get_weights()
    trainer.fit(data, verbose=0)
    assert all(not np.array_equal(old, new) for old, new in zip(start, model.get_weights(), strict=True))
    return model


def answers(model):
    logits = model({name: tf.constant([[x] for x in ROWS[name]], x.dtype) for name, x in model.input.items()})
    return {task.name: task.activation(logits[task.name]) for task in TASKS}


def test_a_keras_file_answers_alike(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    expected = answers(trained)
    for name, answer in answers(keras.models.load_model(tmp_path / "model.keras")).items():
        assert np.isfinite(answer).all()
        np.testing.assert_array_equal(answer, expected[name])


def test_a_saved_model_answers_alike_where_only_tensorflow_is(trained, tmp_path):
    mz.exporting.saved_model(trained, TASKS, tmp_path / "1")
    process = subprocess.run(
        [sys.executable, "-c", CLIENT, str(tmp_path / "1"), json.dumps(ROWS)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout)
    for name, answer in answers(trained).items():
        np.testing.assert_allclose(found[name], answer, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "at least one row and one column"),
        ([], "at least one row and one column"),
        ({"age": np.array([])}, "at least one row and one column"),
        (tf.data.Dataset.from_tensor_slices({"age": [1.0]}).batch(1).take(0), "at least one row"),
        ({"age": np.ones(2), "job": np.array(["a"])}, r"same number of rows. Received: .*'age': 2, 'job': 1"),
        ({"age": np.ones((2, 3))}, r"Column 'age' must have the shape .* Received: \(2, 3\)"),
        (tf.data.Dataset.from_tensor_slices({"age": [1.0]}), r"Column 'age' must have .* Received: \(\)"),
        ({"age": np.ones(2, "complex64")}, "'age' must hold numbers or strings. Received: .* complex64"),
        ({"job": np.array(["a", None], object)}, r"must hold numbers or strings. Received: \[None\] among"),
        ({"age": np.array([1.0, np.inf])}, "numbers of column 'age' must be finite or NaN"),
        ([np.ones((2, 2))], "`data` must hold dicts of columns. Received: ndarray"),
    ],
)
@pytest.mark.parametrize("function", [tabular, tabular_inputs])
def test_data_that_cannot_be_adapted_on(function, data, message):
    with pytest.raises(ValueError, match=message):
        function(data)


def test_columns_must_be_those_of_the_data():
    message = r"The columns must be \['age', 'price'\], .* Received: \['age'\]"
    with pytest.raises(ValueError, match=message):
        tabular([NUMBERS, {"age": np.ones(2)}])
    stage, *_ = tabular(NUMBERS)
    with pytest.raises(ValueError, match=message):
        stage({"age": keras.Input((1,))}, "shared")
    with pytest.raises(ValueError, match=r"must be \['age', 'price'\], .* Received: <KerasTensor"):
        stage(keras.Input((2,)), "shared")
