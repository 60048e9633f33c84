import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from mtl_zoo import datasets, encoders, exporting
from mtl_zoo.architectures import hard_sharing
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import Recipe, Run
from mtl_zoo.exporting.litert import PRECISIONS
from mtl_zoo.task import Task
from tests.exporting.small_models import CASES, batches, make
from tests.harness import dtype_policy

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = datasets.multi_digits.TASKS


def differences(path, model, tasks, data):
    return [agreement.difference for agreement in exporting.verify(path, model, tasks, data)]


@pytest.mark.parametrize("case", CASES)
def test_answers_like_keras_in_a_process_without_it(tmp_path, case):
    model, tasks = make(case)
    exporting.litert(model, tasks, tmp_path / "m.tflite")
    assert max(differences(tmp_path / "m.tflite", model, tasks, batches(case, 1, 7, 64))) < 1e-5
    runner = Interpreter(str(tmp_path / "m.tflite")).get_signature_runner("serving_default")
    assert set(runner.get_input_details()) == {x.name for x in model.inputs}
    assert set(runner.get_output_details()) == {task.name for task in tasks}
    assert {x["dtype"] for x in runner.get_output_details().values()} == {np.float32}
    assert sorted(os.listdir(tmp_path)) == ["m.tflite", "m.tflite.model_card.json"]


def digits_model():
    return hard_sharing(datasets.multi_digits.inputs(), DIGITS, [*encoders.convnet(16), *encoders.mlp(64)])


def digits_data():
    """Batches of noise, as the trainer takes them."""
    random = np.random.default_rng(0)
    images = random.uniform(size=(8, 32, 13, 13, 1)).astype("float32")
    return [(tf.constant(x), {task.name: np.arange(32) % 10 for task in DIGITS}) for x in images]


@pytest.fixture(scope="module")
def precisions(tmp_path_factory):
    """A file of each precision, and the model they were made from."""
    root, model = tmp_path_factory.mktemp("precisions"), digits_model()
    for precision in PRECISIONS:
        data = digits_data() if precision == "int8" else None
        exporting.litert(model, DIGITS, root / f"{precision}.tflite", precision, data)
    return root, model


@pytest.mark.parametrize(
    ("precision", "bits", "tolerance"),
    [("float32", 32, 1e-5), ("float16", 16, 1e-3), ("dynamic", 8, 0.01), ("int8", 8, 0.03)],
)
def test_size_and_difference_follow_from_the_precision(precisions, precision, bits, tolerance):
    root, model = precisions
    path = root / f"{precision}.tflite"
    weights = model.count_params() * bits / 8
    assert weights <= path.stat().st_size < weights + 12_000
    found = differences(path, model, DIGITS, digits_data()[:1])
    assert max(found) < tolerance
    assert (min(found) > 1e-5) == (precision != "float32")
    assert exporting.read_card(path)["precision"] == precision


def test_int8_computes_on_integers_between_inputs_and_outputs(precisions):
    interpreter = Interpreter(str(precisions[0] / "int8.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    outside = [*runner.get_input_details().values(), *runner.get_output_details().values()]
    assert {x["dtype"] for x in outside} == {np.float32}
    floats = {x["index"] for x in interpreter.get_tensor_details() if x["dtype"] == np.float32}
    assert floats == {x["index"] for x in outside}


def test_half_precision_of_layers_becomes_float32(tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = digits_model()
    exporting.litert(model, DIGITS, tmp_path / "m.tflite")
    assert {layer.compute_dtype for layer in model.layers if layer.weights} == {"bfloat16", "float32"}
    copy = digits_model()
    copy.set_weights(model.get_weights())
    assert max(differences(tmp_path / "m.tflite", copy, DIGITS, digits_data()[:1])) < 1e-5


@keras.saving.register_keras_serializable("test_litert")
class Decompose(keras.layers.Layer):
    def call(self, x):
        return tf.linalg.svd(x[:, None, :] * x[:, :, None], compute_uv=False)

    def compute_output_shape(self, input_shape):
        return input_shape


def model_with(layer):
    x = keras.Input((4, 2) if isinstance(layer, keras.layers.RNN) else (4,), name="x")
    return keras.Model(x, {"a": keras.layers.Dense(1)(layer(x))})


@pytest.mark.parametrize(
    ("layer", "operation"),
    [(Decompose(name="svd"), r"Svd in layer 'svd' \(Decompose\)")],
)
def test_names_the_layer_that_has_no_equal_and_leaves_nothing(tmp_path, layer, operation):
    with pytest.raises(ValueError, match=f"must be one that LiteRT has. Received: {operation}"):
        exporting.litert(model_with(layer), [Task.binary("a")], tmp_path / "m.tflite")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("batch_size", "size"), [(None, 1), (2, 2)])
def test_recurrent_layers_take_batches_of_one_size(tmp_path, batch_size, size):
    x = keras.Input((4, 2), name="x")
    sequence, state = keras.layers.GRU(3, return_sequences=True, return_state=True)(keras.layers.Masking()(x))
    hidden = keras.layers.Bidirectional(keras.layers.LSTM(3))(sequence)
    outputs = {"a": keras.layers.Dense(1)(hidden), "b": keras.layers.Dense(2)(state)}
    model, tasks = keras.Model(x, outputs), [Task.binary("a"), Task.regression("b", 2)]
    data = np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32")
    data[:2, 2:] = 0  # masked
    labels = {"a": np.array([0, 1, 1, 0, 1]), "b": np.zeros((5, 2), "float32")}
    exporting.litert(model, tasks, tmp_path / "m.tflite", batch_size=batch_size)
    assert max(differences(tmp_path / "m.tflite", model, tasks, [(data, labels)])) < 1e-6
    assert exporting.describe(tmp_path / "m.tflite")[0].startswith(
        f"serving_default: x float32 [{size}, 4, 2]"
    )
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    assert not any("Flex" in operation["op_name"] for operation in interpreter._get_ops_details())
    with pytest.raises(ValueError, match=r"must be another than int8 .* `unroll=True`. Received:"):
        exporting.litert(model, tasks, tmp_path / "i.tflite", "int8", [data])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"`batch_size` must be an integer of at least 1. Received: batch_size=0"),
        ({"path": "m.lite"}, r"`path` must end with '.tflite'. Received: path='.*m.lite'"),
        ({"precision": "int4"}, r"`precision` must be one of .* Received: precision='int4'"),
        ({"precision": "int8"}, "`representative` must be given for int8.* precision='int8', .*NoneType"),
        ({"representative": [1]}, "`representative` must be given for int8, and only .* precision='float32'"),
        ({"precision": "int8", "representative": []}, "at least one example. Received: none"),
        (
            {"precision": "int8", "representative": [[np.ones((1, 4))] * 2]},
            r"must hold the inputs \['x'\]. Received: 2 tensors",
        ),
        ({"tasks": [Task.binary("b")]}, "Every task must name an output"),
    ],
)
def test_wrong_arguments(tmp_path, arguments, message):
    arguments = {"path": "m.tflite", "tasks": [Task.binary("a")]} | arguments
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(ValueError, match=message):
        exporting.litert(model_with(keras.layers.Dense(2)), **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["m.tflite", "m.tflite.model_card.json"])
def test_refuses_what_exists(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(FileExistsError, match=f"must not exist.*{name}"):
        exporting.litert(model_with(keras.layers.Dense(2)), [Task.binary("a")], tmp_path / "m.tflite")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "precious")]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_nothing(tmp_path, monkeypatch, failure):
    def fail(*arguments):
        raise failure

    monkeypatch.setattr(exporting._conversion, "write_card", fail)
    with pytest.raises(type(failure)):
        exporting.litert(model_with(keras.layers.Dense(2)), [Task.binary("a")], tmp_path / "m.tflite")
    assert os.listdir(tmp_path) == []


def test_script_with_examples_and_its_mistakes(tmp_path):
    model_with(keras.layers.Dense(2)).save(tmp_path / "m.keras")
    np.savez(tmp_path / "x.npz", x=np.eye(4, dtype="float32"))
    np.savez(tmp_path / "y.npz", y=np.eye(4, dtype="float32"))
    arguments = ["--model=m.keras", "--task=a:binary", "--output=m.tflite", "--precision=int8"]
    process, mistake = (
        subprocess.run(
            [sys.executable, ROOT / "export" / "to_litert.py", *arguments, f"--representative={name}.npz"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        for name in "xy"
    )
    assert process.stdout == "serving_default: x float32 [None, 4] -> a float32 [None, 1]\n", process.stderr
    assert exporting.read_card(tmp_path / "m.tflite")["precision"] == "int8"
    assert (mistake.returncode, mistake.stdout) == (1, "")
    assert "Traceback" not in mistake.stderr
    assert mistake.stderr.splitlines()[-1] == (
        "mtl-zoo: --representative must be an .npz file of the arrays ['x']. Received: y.npz"
    )


def test_command_calibrates_on_training_data_and_refuses_flags_of_other_formats(
    tmp_path, monkeypatch, capsys
):
    splits = []
    Recipe().write(tmp_path / "config.json")
    monkeypatch.setattr(Run, "model", digits_model())
    monkeypatch.setattr(Recipe, "load", lambda recipe, split: splits.append(split) or digits_data())
    flags = [f"--run_dir={tmp_path}", f"--output={tmp_path / 'm.tflite'}", "--precision=int8"]
    assert cli.main(["export", *flags, "--format=litert"]) == 0
    signature = "serving_default: image float32 [None, 13, 13, 1] -> left float32 [None, 10], right float32"
    assert capsys.readouterr().out.startswith(signature)
    assert splits == ["train"]
    assert exporting.read_card(tmp_path / "m.tflite")["dataset"] == "multi_digits"
    for format, flag in (("onnx", "--precision"), ("saved_model", "--precision"), ("litert", "--example")):
        assert cli.main(["export", *flags, "--example", f"--format={format}"]) == 1
        error = capsys.readouterr().err
        assert f"Flags must suit --format={format}. Received: " in error
        assert flag in error
