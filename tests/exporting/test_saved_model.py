import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting.verify import SCRIPTS
from mtl_zoo.task import Task
from tests.exporting.harness import operations_of, predictions

ROOT = pathlib.Path(__file__).parents[2]

# Runs where Keras and this library cannot be imported: answers all batches with every artefact.
CLIENT = """
import sys
sys.path = [place for place in sys.path if place]
import pathlib, runpy
sys.modules.update(dict.fromkeys(("keras", "tf_keras", "mtl_zoo")))
answer = runpy.run_path(sys.argv[1])["main"]
for case in pathlib.Path(sys.argv[2]).iterdir():
    answer(str(case / "1"), case)
"""


def run(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def randomize(model):
    """Make all weights, among them moving statistics, differ from what a fresh layer has."""
    generator = np.random.default_rng(0)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(generator.uniform(0.1, 1.0, variable.shape))
    return model


def image_model():
    """A single input of free size, batch normalization, dropout, a dense map and an output without a task."""
    inputs = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    outputs = {
        "mask": keras.layers.Conv2D(5, 1, name="mask_head")(x),
        "left": keras.layers.Dense(3, name="left_head")(pooled),
        "unused": keras.layers.Dense(2, name="unused_head")(pooled),
    }
    return randomize(keras.Model(inputs, outputs))


IMAGE_TASKS = [Task.segmentation("mask", 5), Task.classification("left", 3)]


def table_model():
    """Named columns of several types, a lookup table, a fixed batch size, a task that reads some of them."""
    inputs = {
        "job": keras.Input(batch_shape=(4,), dtype="string", name="job"),
        "education": keras.Input(batch_shape=(4,), dtype="int32", name="education"),
        "wage": keras.Input(batch_shape=(4, 1), name="wage"),
    }
    job = keras.layers.StringLookup(vocabulary=["clerk", "farmer"], name="vocabulary")(inputs["job"])
    job = keras.layers.Embedding(3, 4, name="job_embedding")(job)
    education = keras.layers.Embedding(6, 4)(inputs["education"])
    x = keras.layers.Concatenate()([job, education, inputs["wage"]])
    outputs = {
        "income": keras.layers.Dense(1, name="income_head")(x),
        "flags": keras.layers.Dense(4, name="flags_head")(x),
        "age": keras.layers.Dense(2, name="age_head")(inputs["wage"]),
    }
    return randomize(keras.Model(inputs, outputs))


TABLE_TASKS = [Task.binary("income"), Task.multilabel("flags", 4), Task.regression("age", 2)]


def tagging_model():
    """A list of inputs, tokens of free length and float16 logits."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    scale = keras.Input((1,), name="scale")
    x = keras.layers.Embedding(9, 4, dtype="mixed_float16")(tokens)
    x = keras.layers.Multiply(dtype="mixed_float16")([x, keras.layers.Reshape((1, 1))(scale)])
    outputs = {
        "tags": keras.layers.Dense(5, dtype="mixed_float16")(x),
        "scores": keras.layers.Dense(2, dtype="mixed_float16")(keras.layers.GlobalAveragePooling1D()(x)),
    }
    return randomize(keras.Model([tokens, scale], outputs))


TAGGING_TASKS = [Task.tagging("tags", 5), Task.regression("scores", 2)]


def image_batch(size, generator):
    return {"image": generator.normal(size=(size, 8 + size, 9, 3)).astype("float32")}


def table_batch(size, generator):
    return {
        "job": generator.choice([b"clerk", b"farmer", b"unknown"], size),
        "education": generator.integers(0, 6, size).astype("int32"),
        "wage": generator.normal(size=(size, 1)).astype("float32"),
    }


def tagging_batch(size, generator):
    tokens = generator.integers(0, 9, (size, 3 + size)).astype("int32")
    return {"tokens": tokens, "scale": generator.normal(size=(size, 1)).astype("float32")}


CASES = {
    "image": (image_model, IMAGE_TASKS, image_batch),
    "table": (table_model, TABLE_TASKS, table_batch),
    "tagging": (tagging_model, TAGGING_TASKS, tagging_batch),
}
SIZES = (1, 7)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The directory of all cases, answered by a process that has TensorFlow alone, and the models."""
    root = tmp_path_factory.mktemp("exported")
    models = {}
    for case, (build, tasks, batch) in CASES.items():
        models[case] = build()
        exporting.saved_model(models[case], tasks, root / case / "1")
        for size in SIZES:
            np.savez(root / case / f"inputs_{size}.npz", **batch(size, np.random.default_rng(size)))
    process = run("-c", CLIENT, str(SCRIPTS / "_answer_saved_model.py"), str(root))
    assert process.returncode == 0, process.stderr
    return root, models


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_answers_like_keras_where_only_tensorflow_is(exported, case, size):
    root, models = exported
    tasks = CASES[case][1]
    expected = predictions(models[case], tasks, dict(np.load(root / case / f"inputs_{size}.npz")))
    answers = dict(np.load(root / case / f"outputs_{size}.npz"))
    names = {task.name for task in tasks}
    own = {f"serving_default/{name}" for name in names} | {f"{n}/{n}" for n in names}
    parts = {"features/features", *(f"{n}_from_features/{n}" for n in names)} if case != "table" else set()
    assert set(answers) == own | parts
    answers.pop("features/features", None)
    for key, answer in answers.items():
        assert answer.dtype == np.float32
        assert len(answer) == size
        np.testing.assert_allclose(answer, expected[key.split("/")[1]], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_predictions_are_activated(exported, size):
    root, _ = exported
    left = np.load(root / "image" / f"outputs_{size}.npz")["left/left"]
    np.testing.assert_allclose(left.sum(-1), 1.0, atol=1e-6)
    mask = np.load(root / "image" / f"outputs_{size}.npz")["mask/mask"]
    np.testing.assert_allclose(mask.sum(-1), 1.0, atol=1e-6)
    flags = np.load(root / "table" / f"outputs_{size}.npz")["flags/flags"]
    assert ((flags > 0) & (flags < 1)).all()
    assert not np.allclose(flags.sum(-1), 1.0)


def test_signatures_carry_names_and_free_sizes(exported):
    root, _ = exported
    inputs = "education int32 [None], job string [None], wage float32 [None, 1]"
    assert exporting.describe(root / "table" / "1") == [
        f"age: {inputs} -> age float32 [None, 2]",
        f"flags: {inputs} -> flags float32 [None, 4]",
        f"income: {inputs} -> income float32 [None, 1]",
        f"serving_default: {inputs} -> age float32 [None, 2], flags float32 [None, 4], "
        "income float32 [None, 1]",
    ]
    maps = "float32 [None, None, None"
    assert exporting.describe(root / "image" / "1") == [
        f"features: image {maps}, 3] -> features {maps}, 4]",
        f"left: image {maps}, 3] -> left float32 [None, 3]",
        f"left_from_features: features {maps}, 4] -> left float32 [None, 3]",
        f"mask: image {maps}, 3] -> mask {maps}, 5]",
        f"mask_from_features: features {maps}, 4] -> mask {maps}, 5]",
        f"serving_default: image {maps}, 3] -> left float32 [None, 3], mask {maps}, 5]",
    ]


def mentions(names, layer):
    return any(layer in name for name in names)


@pytest.mark.parametrize(
    ("case", "task", "others"),
    [
        ("image", "left", ["mask_head", "unused_head"]),
        ("image", "mask", ["left_head", "unused_head"]),
        ("table", "income", ["flags_head", "age_head"]),
        ("table", "age", ["income_head", "flags_head", "job_embedding", "vocabulary"]),
    ],
)
def test_signature_of_a_task_holds_its_operations_alone(exported, case, task, others):
    names = operations_of(exported[0] / case / "1")[task]
    assert mentions(names, f"{task}_head")
    assert [layer for layer in others if mentions(names, layer)] == []


def test_default_signature_holds_the_operations_of_all_tasks(exported):
    names = operations_of(exported[0] / "image" / "1")["serving_default"]
    assert mentions(names, "left_head")
    assert mentions(names, "mask_head")
    assert not mentions(names, "unused_head")


def small_model(units=1):
    inputs = keras.Input((4,), name="x")
    x = keras.layers.Dense(units, name="trunk")(inputs)
    return keras.Model(inputs, {"a": keras.layers.Dense(1)(x), "b": keras.layers.Dense(1)(x)})


TASKS = [Task.regression("a"), Task.binary("b")]


def test_weights_are_stored_once(tmp_path):
    model = small_model(units=50_000)
    model.compile("adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    exporting.saved_model(model, TASKS, tmp_path / "1")
    stored = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    weights = 4 * model.count_params()
    assert weights <= stored < weights + 300_000


def test_exporting_again_and_after_loading_gives_the_same(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = tf.random.normal((3, 4))
    answers = []
    for name, source in {"1": model, "2": model, "3": loaded}.items():
        exporting.saved_model(source, TASKS, str(tmp_path / "deep" / "down" / name))
        artefact = tf.saved_model.load(str(tmp_path / "deep" / "down" / name))
        answers.append(artefact.signatures["b"](x=x)["b"])
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])
    assert sorted(os.listdir(tmp_path / "deep" / "down")) == ["1", "2", "3"]


def test_prints_nothing(tmp_path, capfd):
    exporting.saved_model(small_model(), TASKS, tmp_path / "1")
    assert capfd.readouterr().out == ""


def test_refuses_to_overwrite_a_directory(tmp_path):
    path = tmp_path / "1"
    path.mkdir()
    (path / "saved_model.pb").write_text("precious")
    with pytest.raises(FileExistsError, match=r"`path` must not exist.*Received: path='.*1'"):
        exporting.saved_model(small_model(), TASKS, path)
    assert [file.name for file in tmp_path.rglob("*")] == ["1", "saved_model.pb"]
    assert (path / "saved_model.pb").read_text() == "precious"


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_nothing(tmp_path, monkeypatch, failure):
    save = tf.saved_model.save
    seen = []

    def fail_at_the_end(*arguments):
        save(*arguments)
        seen.extend(os.listdir(tmp_path))
        raise failure

    monkeypatch.setattr(tf.saved_model, "save", fail_at_the_end)
    with pytest.raises(type(failure)):
        exporting.saved_model(small_model(), TASKS, tmp_path / "1")
    assert len(seen) == 1
    assert not any(name.isdigit() for name in seen)
    assert os.listdir(tmp_path) == []


def test_checks_tasks_before_writing(tmp_path):
    with pytest.raises(ValueError, match=r"Every task must name .* \['c'\], .* \['a', 'b'\]"):
        exporting.saved_model(small_model(), [Task.binary("c")], tmp_path / "deep" / "1")
    assert os.listdir(tmp_path) == []


def named_model(name):
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, {name: keras.layers.Dense(1)(inputs)})


def test_batch_sizes_are_those_of_the_ladder(tmp_path):
    model = small_model(units=2)
    exporting.saved_model(model, TASKS, tmp_path / "1", device="tpu", batch_sizes=[2, 5])
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    names = ["serving_default", "a", "b", "features", "a_from_features", "b_from_features"]
    assert set(signatures) == {f"{name}_batch_{size}" for name in names for size in (2, 5)}
    x = tf.random.normal((5, 4))
    assert signatures["b_batch_5"].structured_input_signature[1]["x"].shape == (5, 4)
    np.testing.assert_allclose(
        signatures["b_batch_5"](x=x)["b"], predictions(model, TASKS, {"x": x})["b"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "npu"}, r"`device` must be one of \('any', 'tpu'\)\. Received: device='npu'"),
        ({"device": "tpu", "example": True}, "clients must decode images and examples"),
        ({"device": "tpu", "class_names": {"b": ["no", "yes"]}}, "clients must look up names of classes"),
        ({"batch_sizes": []}, r"`batch_sizes` must be different positive integers\. Received: \[\]"),
        ({"batch_sizes": [0, 2]}, "`batch_sizes` must be"),
        ({"batch_sizes": [2, 2]}, "`batch_sizes` must be"),
    ],
)
def test_wrong_devices_and_batch_sizes(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        exporting.saved_model(small_model(), TASKS, tmp_path / "1", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["variables", "signatures", "x", "a_batch_2"])
def test_any_other_name_is_fine(tmp_path, name):
    exporting.saved_model(named_model(name), [Task.binary(name)], tmp_path / "1")
    answer = tf.saved_model.load(str(tmp_path / "1")).signatures[name](x=tf.ones((2, 4)))
    assert answer[name].shape == (2, 1)
