import subprocess
import sys

import pytest

from mtl_zoo.command_line import main as cli
from mtl_zoo.versions import versions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "must be one of train, compare, group, evaluate, export, verify, predict, inspect, list. "
            "Received: ''",
        ),
        (["fit"], "Received: 'fit'"),
        (["--run_dir=x", "train"], "Received: '--run_dir=x'"),
        (["train"], "--run_dir=None: must be given"),
        (["train", "--run_dir="], "must be given"),
        (["export", "--run_dir=x"], "--output=None: must be given"),
        (["predict", "--run_dir=x", "--input=y"], "--output=None: must be given"),
        (["train", "--run_dir=x", "--csv=y"], "--task must say what is to be predicted"),
        (["train", "--run_dir=x", "more"], "takes flags only. Received: more"),
        (["evaluate", "--run_dir=x", "--epochs=3"], "Unknown command line flag 'epochs'"),
        (["list", "--quiet"], "Unknown command line flag 'quiet'"),
        (["train", "--run_dir=x", "--epochs=0"], "--epochs=0: 0 is not a positive integer"),
        (["train", "--run_dir=x", "--batch_size=many"], "--batch_size=many"),
        (["train", "--run_dir=x", "--learning_rate=nan"], "must be positive and finite"),
        (["train", "--run_dir=x", "--learning_rate=0"], "must be positive and finite"),
        (["train", "--run_dir=x", "--seed=-1"], "--seed=-1"),
        (["train", "--run_dir=x", "--dataset=mnist"], "The dataset must be one of"),
        (["train", "--run_dir=x", "--architecture=cross"], "The architecture must be one of"),
        (["train", "--run_dir=x", "--balancer=dwa:c=1"], "This balancer takes temperature=2.0"),
        (["train", "--run_dir=x", "--aggregator=pcgrad:{[]: 1}"], "must be key=value"),
    ],
)
def test_wrong_command_line_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_names_every_flag(capsys, command):
    assert cli.main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert ("--input" if command == "predict" else "--csv" if command == "inspect" else "--manual_dir") in out


def test_help_names_every_command(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in cli.COMMANDS)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    out = capsys.readouterr().out
    assert all(f"{name} {version}" in out for name, version in versions().items())
    assert out.count("\n") == 1


def test_module_runs_as_a_program(tmp_path):
    command = [sys.executable, "-m", "mtl_zoo", "evaluate", f"--run_dir={tmp_path}/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"mtl-zoo: '{tmp_path}/none' must hold a finished run")
    assert "Traceback" not in done.stderr
