import json
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import datasets
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import run, training
from tests.command_line.harness import error_line, files, load, rows, train


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
    prepare = training._prepare
    monkeypatch.setattr(training, "_prepare", lambda recipe: trainers.append(prepare(recipe)) or trainers[-1])
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


def test_encoder_optimizer_and_schedule_are_those_of_the_flags(run_dir, monkeypatch, capsys):
    """Of 12 examples, 3 batches of 4 in each of 3 epochs: 9 updates, of which 3 for the warm-up."""
    trainers = []
    prepare = training._prepare
    monkeypatch.setattr(training, "_prepare", lambda recipe: trainers.append(prepare(recipe)) or trainers[-1])
    flags = ["--encoder=mlp:units=[6, 5]", "--optimizer=sgd:momentum=0.5"]
    assert train(run_dir, *flags, "--schedule=cosine", "--warmup_steps=3") == 0
    optimizer = trainers[0][0].optimizer
    assert optimizer.momentum == 0.5
    found = [float(optimizer._learning_rate(step)) for step in (0, 1, 3, 6, 9)]
    np.testing.assert_allclose(found, [0, 0.1 / 3, 0.1, 0.05, 0], atol=1e-8)
    model = run.Run(run_dir).model
    assert [x.units for x in model.layers if isinstance(x, keras.layers.Dense)] == [6, 5, 3, 1]
    assert cli.main(["evaluate", f"--run_dir={run_dir}", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--encoder=tabular:units=4", "must suit the inputs of the dataset, float32 of the shape (None, 4)"),
        ("--encoder=mlp:units=[0]", "'mlp:units=[0]': `units` must be an integer of at least 1"),
        (
            "--encoder=convnet:filters=4",
            "must suit the inputs of the dataset, float32 of the shape (None, 4)",
        ),
        ("--optimizer=adam:beta_1=hot", "'adam:beta_1=hot': `beta_1` must be a finite number"),
        ("--warmup_steps=9", "`warmup_steps` must be below the number of all steps, 9"),
    ],
)
def test_what_cannot_be_leaves_nothing(run_dir, tmp_path, capsys, flag, message):
    assert train(run_dir, flag) == 1
    assert message in error_line(capsys)
    assert not any(tmp_path.iterdir())
