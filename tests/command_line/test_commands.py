import csv
import json
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import datasets, encoders, exporting
from mtl_zoo.command_line import commands
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import run
from mtl_zoo.files import write_json
from mtl_zoo.task import Task

CONFIG = {
    **{"dataset": "tiny", "architecture": "hard_sharing", "balancer": "equal", "aggregator": "none"},
    **{"tasks": None, "space": "shared", "epochs": 1, "batch_size": 4, "accumulate": 1, "learning_rate": 0.1},
    **{"seed": 0, "strategy": "none", "precision": "float32", "jit_compile": False, "non_finite": "skip"},
    **{"data_dir": None, "manual_dir": None},
}
TASKS = (Task.classification("kind", 3), Task.regression("size"))


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, fault=None, at="train"):
    """Twelve examples whose labels follow from their inputs; `fault` spoils the split `at`."""
    x = np.random.default_rng(len(split)).normal(size=(12, 4)).astype("float32")
    labels = {"kind": x[:, :3].argmax(-1), "size": x.sum(-1)}
    if split == at and fault == "range":
        labels["kind"][-1] = 3
    if split == at and fault == "shape":
        labels["kind"] = np.stack([labels["kind"]] * 2, axis=1)
    dataset = tf.data.Dataset.from_tensor_slices((x, labels))
    return dataset.take(0 if split == at and fault == "empty" else 12).batch(batch_size)


@pytest.fixture(autouse=True)
def _tiny_dataset(monkeypatch):
    module = types.ModuleType("tiny", "Numbers.")
    module.TASKS, module.load = TASKS, load
    module.inputs = lambda: keras.Input((4,), name="x")
    module.encoder = lambda: encoders.mlp(8)
    module.FIELD, module.SIZES, module.LICENSE, module.DOWNLOAD = "synthetic", {"train": 12_000}, "free", ""
    monkeypatch.setattr(datasets, "tiny", module, raising=False)


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "runs" / "tiny"


def train(run_dir, *arguments, dataset="tiny"):
    recipe = ["--epochs=3", "--batch_size=4", "--learning_rate=0.1", "--quiet"]
    return cli.main(["train", f"--dataset={dataset}", f"--run_dir={run_dir}", *recipe, *arguments])


def error_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def rows(run_dir):
    with (run_dir / run.HISTORY).open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))


def test_a_run_from_training_to_export(run_dir, tmp_path, capsys):
    saved = tmp_path / "exported" / "1"
    assert train(run_dir, "--balancer=static:weights=[1, 2]", f"--export={saved}") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert sorted(path.name for path in run_dir.iterdir()) == sorted(run.PARTS)
    config = json.loads((run_dir / run.CONFIG).read_text())
    assert (config["dataset"], config["balancer"], config["epochs"]) == ("tiny", "static:weights=[1, 2]", 3)
    assert config["versions"]["keras"] == keras.__version__

    metrics = json.loads((run_dir / run.METRICS).read_text())
    history = rows(run_dir)
    best = min(history, key=lambda row: row["val_loss"])
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert [row["size_weight"] for row in history] == [2, 2, 2]
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["validation"]["loss"] == pytest.approx(best["val_loss"])

    assert cli.main(["evaluate", f"--run_dir={run_dir}", "--quiet"]) == 0
    table = capsys.readouterr().out
    assert printed.out.startswith(table)
    assert f"kind  {metrics['test']['kind_loss']:.4f}" in table

    assert cli.main(["export", f"--run_dir={run_dir}", f"--output={tmp_path / '2'}"]) == 0
    assert "kind: x float32 [None, 4] -> kind float32 [None, 3]\n" in capsys.readouterr().out
    x = tf.zeros((2, 4))
    answers = [tf.saved_model.load(path).signatures["size"](x=x)["size"] for path in (saved, tmp_path / "2")]
    np.testing.assert_array_equal(*answers)


def test_selected_model_is_not_the_last(run_dir):
    assert train(run_dir, "--learning_rate=3", "--epochs=6") == 0
    losses = [row["val_loss"] for row in rows(run_dir)]
    metrics = json.loads((run_dir / run.METRICS).read_text())
    assert metrics["best_epoch"] == 1 + int(np.argmin(losses)) < 6
    assert metrics["validation"]["loss"] == pytest.approx(min(losses))


@pytest.mark.parametrize("at", ["train", "validation", "test"])
@pytest.mark.parametrize("fault", ["shape", "empty"])
def test_bad_data_leaves_nothing(run_dir, tmp_path, capsys, fault, at):
    assert train(run_dir, dataset=f"tiny:fault={fault},at={at}") == 1
    assert error_line(capsys).startswith("mtl-zoo: ")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("at", ["train", "validation"])
def test_label_out_of_range_leaves_nothing(run_dir, tmp_path, capsys, at):
    assert train(run_dir, dataset=f"tiny:fault=range,at={at}") == 1
    assert error_line(capsys).startswith("mtl-zoo: Labels of task 'kind' must be at most 2")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"), [([], "unless --overwrite"), (["--overwrite"], "Labels of task 'kind'")]
)
def test_failure_leaves_an_earlier_run_alone(run_dir, capsys, arguments, message):
    run_dir.mkdir(parents=True)
    (run_dir / run.CONFIG).write_text("{}")
    assert train(run_dir, *arguments, dataset="tiny:fault=range") == 1
    assert message in error_line(capsys)
    assert files(run_dir) == [run.CONFIG]


def test_overwrite_replaces_a_run_and_the_seed_repeats_it(run_dir):
    train(run_dir, "--seed=1")
    first = rows(run_dir)
    (run_dir / "notes.txt").write_text("mine")
    assert train(run_dir, "--seed=1", "--overwrite") == 0
    assert rows(run_dir) == first
    assert len(list((run_dir / run.LOGS).rglob("*tfevents*"))) == 2
    assert (run_dir / "notes.txt").exists()


def test_interrupted_training_is_not_a_finished_run(run_dir, monkeypatch, capsys):
    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", interrupt)
    assert train(run_dir) == 130
    assert error_line(capsys) == "mtl-zoo: interrupted"
    assert {file.split("/")[0] for file in files(run_dir)} == {run.CONFIG, run.HISTORY, run.LOGS}
    for command in (["evaluate"], ["export", f"--output={run_dir.parent / '1'}"]):
        assert cli.main([*command, f"--run_dir={run_dir}"]) == 1
        assert "must hold a finished run" in error_line(capsys)
    assert not (run_dir.parent / "1").exists()


def test_the_same_command_goes_on_after_an_interruption(run_dir, monkeypatch, capsys):
    def terminate(self, epoch, logs=None):
        if epoch == 1:
            signal.raise_signal(signal.SIGTERM)

    assert train(run_dir.parent / "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", terminate)
        with pytest.raises(SystemExit, match="143"):
            train(run_dir)
    assert "interrupted after epoch 2 and is saved in" in error_line(capsys)
    assert train(run_dir, "--seed=1") == 1
    assert "must go on with seed=0;" in capsys.readouterr().err
    (run_dir / run.HISTORY).write_text("lost")
    assert train(run_dir) == 0
    assert "Training goes on in epoch 3" in capsys.readouterr().err
    assert sorted(path.name for path in run_dir.iterdir()) == sorted(run.PARTS)
    assert rows(run_dir) == rows(run_dir.parent / "whole")
    metrics = [json.loads((path / run.METRICS).read_text()) for path in (run_dir, run_dir.parent / "whole")]
    assert metrics[0]["test"] == metrics[1]["test"]


def test_space_is_checked_by_the_trainer(run_dir, capsys):
    arguments = ["--architecture=single_task", "--aggregator=mgda", "--space=representation"]
    assert train(run_dir, *arguments) == 1
    assert "needs trainable layers" in error_line(capsys)
    assert train(run_dir, "--aggregator=mgda", "--space=representation") == 0


def test_ways_to_compute_are_those_of_the_flags(run_dir, monkeypatch):
    trainers = []
    prepare = commands._prepare
    monkeypatch.setattr(commands, "_prepare", lambda config: trainers.append(prepare(config)) or trainers[-1])
    flags = ("--precision=mixed_bfloat16", "--accumulate=2", "--non_finite=stop", "--jit_compile")
    assert train(run_dir, "--strategy=mirrored", *flags) == 0
    trainer, _ = trainers[0]
    assert isinstance(trainer.distribute_strategy, tf.distribute.MirroredStrategy)
    assert (trainer.accumulate, trainer.non_finite, trainer.jit_compile) == (2, "stop", True)
    steps = keras.ops.convert_to_numpy(trainer.optimizer.iterations)
    assert steps == 6  # three epochs of twelve examples, in batches of two times four
    assert "bfloat16" in {layer.compute_dtype for layer in trainer.model.layers}
    assert keras.config.dtype_policy().name == "float32"


def test_several_workers_need_to_know_of_each_other(run_dir, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {}}')
    assert train(run_dir, "--strategy=multi_worker") == 1
    assert "TF_CONFIG must hold JSON like {'cluster'" in error_line(capsys)


def test_stops_at_a_loss_that_is_not_finite(run_dir, capsys):
    assert train(run_dir, "--learning_rate=1e30", "--non_finite=stop") == 1
    assert "must be finite. Received: another value in step 2 of the epoch" in error_line(capsys)


def test_diverged_training_fails(run_dir, capsys):
    assert train(run_dir, "--learning_rate=1e30") == 1
    assert "validation loss must be finite" in error_line(capsys)
    assert not (run_dir / run.MODEL).exists()


def test_task_that_no_output_matches(run_dir, capsys):
    run_dir.mkdir(parents=True)
    write_json(run_dir / run.CONFIG, CONFIG)
    x = keras.Input((4,))
    keras.Model(x, {"other": keras.layers.Dense(1)(x)}).save(run_dir / run.MODEL)
    assert cli.main(["evaluate", f"--run_dir={run_dir}"]) == 1
    assert "Every task must name an output" in error_line(capsys)


def test_manual_dir_is_refused_where_it_means_nothing(run_dir, tmp_path, capsys):
    assert train(run_dir, "--manual_dir=files") == 1
    assert "takes no --manual_dir" in error_line(capsys)
    assert not any(tmp_path.iterdir())


def test_export_path_is_checked_first(run_dir, tmp_path, capsys):
    assert train(run_dir, f"--export={tmp_path}") == 1
    assert "must not exist" in error_line(capsys)
    (tmp_path / "file").touch()
    assert train(run_dir, f"--export={tmp_path}/file/1") == 1
    assert "must be a directory that can be written" in error_line(capsys)
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("static:weights=[1]", "one number per task"),
        ("dwa:temperature=0", "'dwa:temperature=0': `temperature` must be positive"),
        ("dwa:temperature=hot", "'dwa:temperature=hot': "),
    ],
)
def test_bad_argument_value(run_dir, tmp_path, capsys, choice, message):
    assert train(run_dir, f"--balancer={choice}") == 1
    assert message in error_line(capsys)
    assert not any(tmp_path.iterdir())


def test_default_dataset_with_progress_on_stderr(run_dir, multi_digits_dir, capsys):
    assert cli.main(["train", f"--run_dir={run_dir}", "--epochs=1", f"--data_dir={multi_digits_dir}"]) == 0
    out, err = capsys.readouterr()
    assert "118/118" in err
    assert "118/118" not in out
    assert out.splitlines()[1].startswith("left ")


def test_a_subset_of_the_tasks(run_dir, tmp_path, capsys):
    assert train(run_dir, "--tasks=size") == 0
    assert "kind" not in capsys.readouterr().out
    assert "kind_loss" not in rows(run_dir)[0]
    assert cli.main(["evaluate", f"--run_dir={run_dir}", "--quiet"]) == 0
    assert "size" in capsys.readouterr().out
    assert cli.main(["export", f"--run_dir={run_dir}", f"--output={tmp_path / '1'}"]) == 0
    assert "kind" not in capsys.readouterr().out


def test_unknown_task(run_dir, capsys):
    assert train(run_dir, "--tasks=size,weight") == 1
    assert error_line(capsys).endswith("Tasks must be among kind, size. Received: size, weight")


def test_labelled_fractions_are_reported_once(run_dir, capsys, monkeypatch):
    def partly(split, batch_size, **options):
        return load(split, batch_size).map(
            lambda x, y: (x, {**y, "kind": tf.where(y["size"] > 99, y["kind"], -1)})
        )

    monkeypatch.setattr(datasets.tiny, "load", partly)
    cli.main(["train", "--dataset=tiny", f"--run_dir={run_dir}", "--epochs=1", "--batch_size=4"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "Labelled" in line]
    assert lines == ["Labelled, in the first batches: kind 0.0%, size 100.0%"]


def test_list(capsys):
    assert cli.main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    tiny = "tiny fault=None,at=train synthetic; 12,000 examples; tasks: kind, size; licence: free; embedded"
    assert [*tiny.split(), "Numbers."] in lines
    assert ["--aggregator="] in lines
    assert "https://arxiv.org/abs/2001.06782" in next(line for line in lines if line[0] == "pcgrad")


def test_an_export_is_described_and_verified(run_dir, tmp_path, capsys, monkeypatch):
    names, saved = tmp_path / "names.json", tmp_path / "exported" / "1"
    names.write_text('{"kind": ["a", "b", "c"]}')
    assert train(run_dir) == 0
    options = [f"--class_names={names}", "--warmup"]
    assert cli.main(["export", f"--run_dir={run_dir}", f"--output={saved}", *options]) == 0
    assert "kind_class_name string [None]" in capsys.readouterr().out
    x, _ = next(iter(load("test", 1)))
    requests = exporting.replay_warmup(saved)
    expected = tf.saved_model.load(saved).signatures["size"](x=x)["size"]
    np.testing.assert_allclose(dict(requests)["size"]["size"], expected, rtol=1e-6)
    card = json.loads((saved / "model_card.json").read_text())
    assert (card["dataset"], card["architecture"]) == ("tiny", "hard_sharing")
    assert card["metrics"] == json.loads((run_dir / run.METRICS).read_text())["test"]

    assert cli.main(["verify", f"--export={saved}"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    accuracy = f"{card['metrics']['kind_accuracy']:.4f}"
    assert table[0] == ["difference", "metric", "Keras", "export"]
    assert [row[0] for row in table[1:]] == ["kind", "size", "root_mean_squared_error"]
    assert table[1][2:] == ["accuracy", accuracy, accuracy]
    assert float(table[2][1]) < 1e-5

    found = [exporting.Agreement("kind", 0.2, 1.0, {"accuracy": (0.5, 0.25)})]
    monkeypatch.setattr(exporting, "verify", lambda *arguments: found)
    assert cli.main(["verify", f"--export={saved}"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split() == ["kind", "2.0e-01", "accuracy", "0.5000", "0.2500"]
    assert printed.err.endswith("Received larger ones for kind\n")
    tolerances = ["--tolerance=0.2", "--metric_tolerance=0.25"]
    assert cli.main(["verify", f"--export={saved}", *tolerances]) == 0


def test_an_export_names_its_run_by_a_path_from_where_it_is(run_dir, tmp_path, capsys):
    assert train(run_dir, f"--export={tmp_path / 'exported' / 'tiny' / '1'}") == 0
    (tmp_path / "elsewhere").mkdir()
    for name in ("runs", "exported"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    saved = tmp_path / "elsewhere" / "exported" / "tiny" / "1"
    assert str(tmp_path) not in (saved / "model_card.json").read_text()
    assert cli.main(["verify", f"--export={saved}"]) == 0
    saved.rename(tmp_path / "1")
    capsys.readouterr()
    assert cli.main(["verify", f"--export={tmp_path / '1'}"]) == 1
    assert "must hold a finished run" in error_line(capsys)
    run_flag = f"--run_dir={tmp_path / 'elsewhere' / 'runs' / 'tiny'}"
    assert cli.main(["verify", f"--export={tmp_path / '1'}", run_flag]) == 0


WRONG_EXPORTS = [
    (["--batch_sizes=2"], 1, "--batch_sizes must come with --device"),
    (["--image_scale=1"], 1, "--image_scale must come with --image_bytes"),
    (["--device=tpu", "--batch_sizes=2,x"], 2, "--batch_sizes=['2', 'x']: must be integers"),
    (["--image_bytes", "--image_offset=1,x"], 2, "--image_offset=['1', 'x']: must be numbers"),
    (["--format=onnx", "--warmup"], 1, "Flags must suit --format=onnx. Received: --warmup"),
    (["--class_names=list.json"], 1, "--class_names must be a JSON file, {task: [names]}. Received: 'list"),
    (["--class_names=text.json"], 1, "--class_names must be a JSON file"),
]


def test_wrong_flags_of_an_export(run_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text("names")
    assert train(run_dir) == 0
    capsys.readouterr()
    for arguments, code, message in WRONG_EXPORTS:
        assert cli.main(["export", f"--run_dir={run_dir}", "--output=1", *arguments]) == code
        assert message in error_line(capsys)
        assert not (tmp_path / "1").exists()


def test_an_export_that_tells_no_run_is_verified_with_one_that_is_given(tmp_path, capsys):
    assert cli.main(["verify", f"--export={tmp_path}/none"]) == 1
    assert "must be an exported model" in error_line(capsys)
    assert cli.main(["verify", f"--export={tmp_path}"]) == 1
    assert "--run_dir must be given" in error_line(capsys)
