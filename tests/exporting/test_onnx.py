import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from mtl_zoo import encoders, exporting
from mtl_zoo.architectures import hard_sharing
from mtl_zoo.task import Task
from tests.exporting.small_models import CASES, batches, make

ROOT = pathlib.Path(__file__).parents[2]
TASKS = [Task.binary("a")]


def differences(path, model, tasks, data):
    return [agreement.difference for agreement in exporting.verify(path, model, tasks, data)]


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("case", CASES)
def test_answers_like_keras_in_a_process_without_it(tmp_path, case):
    model, tasks = make(case)
    exporting.onnx(model, tasks, tmp_path / "m.onnx")
    assert max(differences(tmp_path / "m.onnx", model, tasks, batches(case, 1, 7, 64))) < 1e-5
    found = session(tmp_path / "m.onnx")
    assert {x.name for x in found.get_inputs()} == {x.name for x in model.inputs}
    assert {x.name: x.type for x in found.get_outputs()} == {task.name: "tensor(float)" for task in tasks}
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "m.onnx.model_card.json"]


def test_takes_inputs_that_no_task_reads(tmp_path):
    model, tasks = make("columns")
    (age,) = [task for task in tasks if task.name == "age"]
    exporting.onnx(model, [age], tmp_path / "m.onnx")
    assert {x.name for x in session(tmp_path / "m.onnx").get_inputs()} == {x.name for x in model.inputs}


def test_spectrogram(tmp_path):
    stages = encoders.spectrogram(4, num_mel_bins=8, frame_length=100, frame_step=50)
    model = hard_sharing(keras.Input((400,), name="sound"), TASKS, stages)
    exporting.onnx(model, TASKS, tmp_path / "m.onnx")
    sound = np.random.default_rng(0).normal(size=(5, 400)).astype("float32")
    assert max(differences(tmp_path / "m.onnx", model, TASKS, [(sound, {"a": np.ones(5)})])) < 1e-5


class Operation(keras.layers.Layer):
    """Applies a function of TensorFlow."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def model_with(layer, name="x"):
    x = keras.Input((4,), name=name)
    return keras.Model(x, {"a": keras.layers.Dense(1)(layer(x))})


@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x: tf.linalg.svd(x[:, None] * x[..., None], compute_uv=False), "Svd"),
        (lambda x: tf.math.real(tf.cast(x, tf.complex64)), "Real"),
        (lambda x: tf.math.real(tf.raw_ops.RFFT(input=x, fft_length=[2])), "RFFT"),
    ],
)
def test_names_the_layer_that_has_no_equal_and_leaves_nothing(tmp_path, function, operation):
    model = model_with(Operation(function, name="odd"))
    with pytest.raises(
        ValueError, match=rf"must be one that ONNX has. Received: .*{operation} in layer 'odd' \(Oper"
    ):
        exporting.onnx(model, TASKS, tmp_path / "m.onnx")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("model", "path", "tasks", "message"),
    [
        ("x", "m.pb", TASKS, r"`path` must end with '.onnx'. Received: path='.*m.pb'"),
        ("a", "m.onnx", TASKS, "No task may have the name of an input in ONNX. Received: a"),
        ("x", "m.onnx", [Task.binary("b")], "Every task must name an output"),
    ],
)
def test_wrong_arguments(tmp_path, model, path, tasks, message):
    with pytest.raises(ValueError, match=message):
        exporting.onnx(model_with(keras.layers.Dense(2), model), tasks, tmp_path / path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["m.onnx", "m.onnx.model_card.json"])
def test_refuses_what_exists(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileExistsError, match=f"must not exist.*{name}"):
        exporting.onnx(model_with(keras.layers.Dense(2)), TASKS, tmp_path / "m.onnx")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "precious")]


def test_asks_for_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'mtl-zoo\[export\]'"):
        exporting.onnx(model_with(keras.layers.Dense(2)), TASKS, tmp_path / "m.onnx")


def test_script(tmp_path):
    model_with(keras.layers.Dense(2)).save(tmp_path / "m.keras")
    arguments = ["--model=m.keras", "--task=a:binary", "--output=m.onnx"]
    process = subprocess.run(
        [sys.executable, ROOT / "export" / "to_onnx.py", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout == "serving_default: x float32 [None, 4] -> a float32 [None, 1]\n", process.stderr
    (a,) = session(tmp_path / "m.onnx").run(["a"], {"x": np.eye(4, dtype="float32")})
    model = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(a, tf.sigmoid(model(np.eye(4))["a"]), atol=1e-6)
