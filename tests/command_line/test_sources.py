import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.command_line import main as cli
from tests.command_line.harness import error_line


@pytest.fixture
def path(tmp_path):
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {"a": keras.layers.Dense(3)(x), "b": keras.layers.Dense(1)(x)})
    model.save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def export(path, *arguments):
    return cli.main(["export", f"--model={path}", f"--output={path.parent}/1", *arguments])


def test_any_keras_file_is_exported(path, capsys):
    assert export(path, "--task=a:classification:classes=[x, y, z]", "--task=b:binary") == 0
    assert "a_class_name string [None]" in capsys.readouterr().out
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    logits = keras.saving.load_model(path)(x)
    found = tf.saved_model.load(str(path.parent / "1")).signatures["serving_default"](x=tf.constant(x))
    np.testing.assert_allclose(found["a"], tf.nn.softmax(logits["a"]), rtol=1e-5)
    np.testing.assert_allclose(found["b"], tf.sigmoid(logits["b"]), rtol=1e-5)
    names = [b"xyz"[i : i + 1] for i in np.argmax(logits["a"], axis=-1)]
    assert found["a_class_name"].numpy().tolist() == names


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--model must come with --task=name:kind of each output"),
        (["--task=c:binary"], 1, "Every task must name an output of `model`. Received tasks ['c']"),
        (["--task=a:binary"], 1, "The output of task 'a' must have shape (None, 1)"),
        (["--task=a:clasification"], 1, "The kind of a task must be one of"),
        (["--task=a:classification", "--run_dir=x"], 2, "Either --run_dir or --model must be given"),
        (["--task=a:classification", "--warmup"], 2, "--model has no data. Received: --warmup"),
        (
            ["--task=a:classification", "--format=litert", "--precision=int8"],
            1,
            "--precision=int8 of a --model must come with --representative",
        ),
    ],
)
def test_mistakes_are_one_line(path, capsys, arguments, code, message):
    assert export(path, *arguments) == code
    assert message in error_line(capsys)
    assert not (path.parent / "1").exists()


def test_a_model_must_be_named_and_be_one(path, capsys):
    assert cli.main(["export", "--output=x"]) == 2
    assert "Either --run_dir or --model must be given" in error_line(capsys)
    path.write_text("text")
    assert export(path, "--task=a:classification") == 1
    assert "--model must be a Keras file. Received: --model=" in error_line(capsys)
