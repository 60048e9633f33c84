import json

import pytest

from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import Run, run
from mtl_zoo.experiments.continuation import reopen
from tests.command_line.conftest import _tiny_dataset as _tiny_dataset
from tests.command_line.harness import error_line, rows, train

METHODS = ("--balancer=dwa", "--aggregator=moco", "--optimizer=adam")


def more(path, *arguments):
    return cli.main(["train", f"--run_dir={path}", "--continue", "--quiet", *arguments])


def metrics(path):
    return json.loads((path / run.METRICS).read_text())


def test_more_epochs_are_those_of_one_training(tmp_path, capsys):
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert train(whole, *METHODS, "--epochs=5") == 0
    assert train(part, *METHODS, "--epochs=2") == 0
    capsys.readouterr()
    assert more(part, "--epochs=3") == 0
    assert "Training goes on in epoch 3" in capsys.readouterr().err
    assert more(part, "--epochs=5") == 0
    assert rows(part) == rows(whole)
    times = {"seconds": 0, "seconds_per_epoch": 0}
    assert metrics(part) | times == metrics(whole) | times
    assert Run(part).recipe == Run(whole).recipe
    assert sorted(path.name for path in part.iterdir()) == sorted(run.PARTS)
    assert len(list((part / run.STATE).iterdir())) == 1
    assert cli.main(["evaluate", f"--run_dir={part}", "--quiet"]) == 0


def test_a_schedule_spans_all_epochs(tmp_path, capsys):
    assert train(tmp_path / "run", "--schedule=cosine", "--epochs=1") == 0
    capsys.readouterr()
    assert more(tmp_path / "run", "--epochs=2") == 0
    assert "The schedule 'cosine' of the learning rate spans all 2 epochs now" in capsys.readouterr().err


def test_what_cannot_go_on(tmp_path, capsys):
    path = tmp_path / "run"
    assert more(path, "--epochs=2") == 1
    assert "must hold a finished run" in error_line(capsys)
    assert train(path, "--epochs=2") == 0
    capsys.readouterr()
    for arguments, code, message in (
        (["--epochs=2"], 1, "`epochs` must be over 2, those of the run in"),
        ([], 2, "--continue needs --epochs, and keeps all other choices. Received: no --epochs"),
        (["--epochs=3", "--batch_size=2"], 2, "Received: --batch_size"),
    ):
        assert more(path, *arguments) == code
        assert message in error_line(capsys)
    assert Run(path).is_complete
    for file in (path / run.STATE).iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="must hold the state at the end of the run, which earlier versions"):
        reopen(Run(path), 3)
