import signal

import keras
import numpy as np
import pytest

from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import Recipe
from mtl_zoo.relations import TaskMatrix
from tests.command_line.harness import error_line


def group(run_dir, *arguments, dataset="tiny"):
    recipe = ["--epochs=2", "--batch_size=4", "--every=1", "--quiet"]
    return cli.main(["group", f"--dataset={dataset}", f"--run_dir={run_dir}", *recipe, *arguments])


def test_the_same_command_goes_on_after_an_interruption(run_dir, monkeypatch, capsys):
    def terminate(self, epoch, logs=None):
        if epoch == 0:
            signal.raise_signal(signal.SIGTERM)

    whole = run_dir.parent / "whole"
    assert group(whole) == 0
    out = capsys.readouterr().out
    with monkeypatch.context() as patch:
        patch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", terminate)
        with pytest.raises(SystemExit, match="143"):
            group(run_dir)
    assert "interrupted after epoch 1 and is saved in" in error_line(capsys)
    assert not (run_dir / "affinity.json").exists()
    assert group(run_dir) == 0
    assert "Training goes on in epoch 2" in capsys.readouterr().err
    matrices = [TaskMatrix.read(path / "affinity.json") for path in (run_dir, whole)]
    np.testing.assert_array_equal(*(matrix.values for matrix in matrices))

    lines = out.splitlines()
    assert lines[0] == "What a step for the task of a row takes away from the loss of that of a column:"
    assert [line.split() for line in lines[1:4]] == matrices[1].rows()
    assert lines[5].startswith("Network 1 trains ")
    assert lines[-1] == f"Run directory: {whole}: affinity.json, affinity.png, groups.json, recipes/"

    assert group(run_dir, "--budget=1") == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # nothing was trained
    assert "Network 1 trains kind, size; serves kind (" in captured.out
    assert Recipe.read(run_dir / "recipes" / "network_1.json").task_names == ("kind", "size")
    assert group(run_dir, "--seed=1") == 1
    assert "must not hold a run, unless --overwrite allows to replace it" in error_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--budget=0"], 2, "--budget=0"),
        (["--budget=two"], 2, "--budget=two"),
        (["--every=0"], 2, "--every=0"),
        (["--balancer=dwa"], 2, "Unknown command line flag 'balancer'"),
        (["--csv=people.csv"], 2, "csv"),
        (["--tasks=size"], 1, "two tasks at least. Received: ['size']"),
        (["--tasks=size,weight"], 1, "Tasks must be among kind, size"),
        (["--architecture=single_task"], 1, "variables that two tasks share"),
        (["--strategy=multi_worker"], 1, "`strategy` must be one of a single process"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(run_dir, tmp_path, capsys, arguments, code, message):
    assert group(run_dir, *arguments) == code
    assert message in error_line(capsys)
    assert not any(tmp_path.iterdir())


def test_bad_data_leave_nothing(run_dir, tmp_path, capsys):
    assert group(run_dir, dataset="tiny:fault=range") == 1
    assert error_line(capsys).startswith("mtl-zoo: Labels of task 'kind' must be at most 2")
    assert not any(tmp_path.iterdir())
