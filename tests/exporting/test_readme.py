"""The walk of export/README.md: its blocks run in their order, and its commands have the flags they use."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import keras
import pytest
from absl import flags

import mtl_zoo as mz
from mtl_zoo.command_line import main as cli

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "export" / "README.md").read_text()
COMMANDS = [
    shlex.split(line) for line in re.findall(r"^    (\S.*)", README.replace("\\\n", ""), re.MULTILINE)
]
TASKS = [mz.Task.classification("left", 10), mz.Task.classification("right", 10)]


def commands(*start):
    return [command for command in COMMANDS if command[: len(start)] == list(start)]


def test_python_blocks_and_the_script_run(tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    small = mz.architectures.hard_sharing(keras.Input((4,), name="x"), TASKS, mz.encoders.mlp(2))
    names = {"model": small, "tasks": TASKS}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, names)
        if "digits.keras" in block:
            check_script()
            mz.exporting.litert(names["model"], TASKS, "digits.tflite")
            mz.exporting.onnx(names["model"], TASKS, "digits.onnx")
    assert names["right"].shape == (3, 10)
    assert names["left"].shape == (3, 10)


def check_script():
    """Run the README's command, which prints what the README says."""
    ((_, script, *arguments),) = commands("python", "export/to_saved_model.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(ROOT / script), *arguments]
    process = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "".join(f"    {line}\n" for line in process.stdout.splitlines()) in README


@pytest.mark.parametrize("arguments", commands("mtl-zoo"), ids=" ".join)
def test_commands_have_the_flags(arguments):
    _, name, *rest = arguments
    options = flags.FlagValues()
    cli.COMMANDS[name][1](options)
    assert options([name, *rest]) == [name]


@pytest.mark.parametrize("arguments", commands("python"), ids=" ".join)
def test_scripts_have_the_flags(arguments):
    _, script, *rest = arguments
    clients = (ROOT / script).read_text()
    options = flags.FlagValues()
    cli.COMMANDS["export"][1](options)
    for flag in re.findall(r"--(\w+)", " ".join(rest)):
        is_known = flag in options if script.startswith("export/to_") else f'"--{flag}"' in clients
        assert is_known, flag
