import os
import pathlib
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.task import Task

SOURCE = pathlib.Path(__file__).parents[2] / "export" / "clients" / "c"
TASKS = [Task.classification("left", 3), Task.regression("age", 2)]
GENERATOR = np.random.default_rng(0)
PIXELS = GENERATOR.integers(0, 256, (7, 4, 6, 1))
INPUTS = {"image": (PIXELS / 255).astype("float32"), "user-id": GENERATOR.integers(0, 5, (7, 1), "int32")}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
TYPES = {"float32": np.float32, "int64": np.int64, "string": str}


def two_inputs():
    image = keras.Input((4, 6, 1), name="image")
    user = keras.Input((1,), dtype="int32", name="user-id")
    x = keras.layers.Flatten()(keras.layers.Conv2D(3, 3, activation="relu")(image))
    x = keras.layers.Concatenate()([x, keras.layers.Flatten()(keras.layers.Embedding(5, 2)(user))])
    shared = keras.layers.Dense(4, activation="tanh")(x)
    outputs = {task.name: keras.layers.Dense(task.output_shape[-1])(shared) for task in TASKS}
    return keras.Model({"image": image, "user-id": user}, outputs)


def compiler():
    return shutil.which(os.environ.get("CC", "cc"))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The path of the client, built from a copy of its source."""
    if not (compiler() and shutil.which("make")):
        pytest.skip("There is no C compiler, or no make, to build the client with.")
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(SOURCE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build"))
    command = ["make", "-C", str(folder), f"PYTHON={sys.executable}"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / "build" / "predict"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with the export `1` and its inputs as files, and what Keras predicts for them."""
    model, folder = two_inputs(), tmp_path_factory.mktemp("digits")
    names = {"left": ["first", "second one", "third"]}
    pixels = exporting.Pixels()
    exporting.saved_model(model, TASKS, folder / "1", class_names=names, image_bytes=pixels)
    for name, array in INPUTS.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "user.npy", INPUTS["user-id"][:1])
    (folder / "photo.png").write_bytes(tf.io.encode_png(PIXELS[0].astype("uint8")).numpy())
    logits = model(INPUTS)
    return folder, {task.name: task.activation(logits[task.name]).numpy() for task in TASKS}


@pytest.fixture
def predict(program, exported):
    """Return a function that runs the client without paths, of Python or others."""

    def run(*arguments):
        command = [str(program), *arguments]
        return subprocess.run(command, env=QUIET, cwd=exported[0], capture_output=True, text=True)

    return run


def answers_of(process):
    """Parse what the client prints: per output a line with name, type and shape, then one per example."""
    assert process.returncode == 0, process.stderr
    lines, answers = iter(process.stdout.splitlines()), {}
    for line in lines:
        name, kind, shape = line.split(" ", 2)
        shape = [int(size) for size in shape.strip("[]").split(", ")]
        rows = [next(lines) if len(shape) == 1 else next(lines).split(" ") for _ in range(shape[0])]
        answers[name] = np.array(rows).astype(TYPES[kind])
        assert list(answers[name].shape) == shape
    return answers


BOTH = ["image=image.npy", "user-id=user-id.npy"]


@pytest.mark.parametrize("signature", ["serving_default", "left", "age"])
def test_answers_equal_keras(predict, exported, signature):
    expected = {task: x for task, x in exported[1].items() if signature in ("serving_default", task)}
    answers = answers_of(predict("1", signature, *BOTH))
    for task, predictions in expected.items():
        np.testing.assert_allclose(answers.pop(task), predictions, rtol=1e-5, atol=1e-5)
    if "left" in expected:
        likeliest = expected["left"].argmax(-1)
        np.testing.assert_array_equal(answers.pop("left_class_id"), likeliest)
        names = np.array(["first", "second one", "third"])[likeliest]
        np.testing.assert_array_equal(answers.pop("left_class_name"), names)
    assert answers == {}


def test_a_head_answers_from_features(predict, exported):
    folder, expected = exported
    features = answers_of(predict("1", "features", *BOTH))["features"]
    np.save(folder / "features.npy", features)
    answers = answers_of(predict("1", "age_from_features", "features=features.npy"))
    np.testing.assert_allclose(answers["age"], expected["age"], rtol=1e-5, atol=1e-5)


def test_a_string_is_a_file(predict, exported):
    answers = answers_of(predict("1", "image_bytes", "image_bytes=photo.png", "user-id=user.npy"))
    for task, predictions in exported[1].items():
        np.testing.assert_allclose(answers[task], predictions[:1], rtol=1e-5, atol=1e-5)


def test_signatures_are_listed_as_they_are(predict, exported):
    listed = predict("1").stdout.splitlines()
    found = tf.saved_model.load(str(exported[0] / "1")).signatures
    assert [line.partition(":")[0] for line in listed] == sorted(found)
    inputs = "image float32 [-1, 4, 6, 1], user-id int32 [-1, 1]"
    outputs = "left float32 [-1, 3], left_class_id int64 [-1], left_class_name string [-1]"
    assert f"left: {inputs} -> {outputs}" in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Arguments must be EXPORT [SIGNATURE NAME=FILE ...]. Received: none"),
        (["2"], "EXPORT must be a SavedModel. Received: Could not find SavedModel"),
        (["1", "right", *BOTH], "SIGNATURE must be one of age, age_from_features, features, "),
        (["1", "left", BOTH[0]], "Input 'user-id' must be given, as user-id=FILE."),
        (["1", "left", *BOTH, "x=x.npy"], "Arguments must be one NAME=FILE per input, 2. Received: 3"),
        (["1", "left", BOTH[0], "user-id=none.npy"], "Input 'user-id' must be a file that can be read. "),
        (
            ["1", "left", "image=photo.png", BOTH[1]],
            "Input 'image' must be a file by numpy.save, in C order. ",
        ),
        (["1", "left", "image=short.npy", BOTH[1]], "Input 'image' must be a whole file. "),
        (["1", "left", "image=fortran.npy", BOTH[1]], "Input 'image' must be a file by numpy.save, in C "),
        (["1", "left", "image=negative.npy", BOTH[1]], "Input 'image' must be a file by numpy.save, in C "),
        (
            ["1", "left", "image=wide.npy", BOTH[1]],
            "Input 'image' must be float32 [-1, 4, 6, 1]. Received: float32 [7, 4, 7, 1]",
        ),
        (
            ["1", "left", "image=double.npy", BOTH[1]],
            "Input 'image' must be float32 [-1, 4, 6, 1]. Received: float64 [7, 4, 6, 1]",
        ),
        (
            ["1", "left", "image=user.npy", BOTH[1]],
            "Input 'image' must be float32 [-1, 4, 6, 1]. Received: int32 [1, 1]",
        ),
        (["1", "left", BOTH[0], "user-id=user.npy"], "The model must accept the inputs. Received: "),
        (
            ["1", "image_bytes", "image_bytes=user.npy", "user-id=user.npy"],
            "The model must accept the inputs.",
        ),
    ],
)
def test_a_mistake_is_one_line(predict, exported, arguments, message):
    folder, image = exported[0], INPUTS["image"]
    np.save(folder / "wide.npy", np.concatenate([image, image[:, :, :1]], axis=2))
    np.save(folder / "double.npy", image.astype("float64"))
    np.save(folder / "fortran.npy", np.asfortranarray(image[..., [0]]))
    content = (folder / "image.npy").read_bytes()
    (folder / "short.npy").write_bytes(content[:-1])
    (folder / "negative.npy").write_bytes(content.replace(b"(7, 4, 6, 1)", b"(-7,4, 6, 1)"))
    process = predict(*arguments)
    lines = [line for line in process.stderr.splitlines() if not is_log(line)]
    assert (process.returncode, process.stdout, len(lines)) == (1, "", 1)
    assert lines[0].startswith(f"predict: {message}")


def is_log(line):
    """Return whether TensorFlow logged a line: `I0000 00:00:1795250082.672540 ...`, as it is loaded."""
    return line.startswith("WARNING: All log messages") or line[1:6] == "0000 "


def test_the_build_says_where_it_looked(tmp_path):
    if not shutil.which("make"):
        pytest.skip("There is no make.")
    command = ["make", "-C", str(SOURCE), "--dry-run", f"TENSORFLOW={tmp_path}"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode != 0
    assert f"Received: '{tmp_path}'" in process.stderr
