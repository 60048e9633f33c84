import pathlib
import subprocess
import sys

import pytest

from mtl_zoo import program

ROOT = pathlib.Path(program.__file__).parents[1]
QUESTIONS = """
import contextlib, io, sys
sys.argv = ["bin/mtl-zoo"]
from mtl_zoo.command_line import main
errors = io.StringIO()
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
    codes = [main.main([name, "--help"]) for name in main.COMMANDS]
    codes += [main.main(words.split()) for words in (
        "--help", "trian", "train --datset=x", "train --run_dir=r --architecture=mmoee", "train",
        "train --run_dir=r --architecture=mmoe --epochs=-1", "train --run_dir=r --space=x",
        "export --format=x",
    )]
assert codes == [0] * (len(main.COMMANDS) + 1) + [2] * 7, errors.getvalue()
assert len(errors.getvalue().splitlines()) == 7, errors.getvalue()
print(*sys.modules)
"""
PROGRAM = """
import sys, keras
sys.argv = ["mtl-zoo"]
import mtl_zoo
assert not hasattr(mtl_zoo, "Trainer")
from mtl_zoo.command_line import main
assert main.main(["list"]) == 0
print(*(name for name in keras.saving.get_custom_objects() if name.startswith("mtl_zoo")), file=sys.stderr)
print(*vars(mtl_zoo), file=sys.stderr)
"""
LIBRARY = """
import sys, keras, mtl_zoo
print(*(name for name in keras.saving.get_custom_objects() if name.startswith("mtl_zoo")), file=sys.stderr)
print(*vars(mtl_zoo), file=sys.stderr)
"""


def run(*arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def test_help_and_mistakes_are_answered_without_tensorflow():
    imported = set(run("-c", QUESTIONS).stdout.split())
    assert "mtl_zoo.experiments.recipe" in imported
    assert not imported & {"keras", "tensorflow", "numpy"}, "Import it inside the functions of commands."


def test_the_module_answers_without_tensorflow_too():
    done = run("-X", "importtime", "-m", "mtl_zoo", "train", "--help")
    assert "--architecture" in done.stdout
    assert "mtl_zoo.experiments.recipe" in done.stderr
    assert "tensorflow" not in done.stderr


def test_commands_have_all_that_an_import_of_the_library_has():
    *_, registered, names = run("-c", PROGRAM).stderr.splitlines()
    *_, registered_by_import, names_by_import = run("-c", LIBRARY).stderr.splitlines()
    assert set(registered.split()) == set(registered_by_import.split())
    assert "mtl_zoo>Warmup" in registered
    assert set(names_by_import.split()) <= set(names.split())


@pytest.mark.parametrize(
    ("argv", "waits"),
    [
        (["/usr/bin/mtl-zoo", "train"], True),
        (["mtl-zoo.exe"], True),
        (["-m", "--help"], True),
        (["-c"], False),
        (["pytest"], False),
        (["mtl-zoo.py"], False),
        ([""], False),
        ([], False),
    ],
)
def test_only_the_program_waits(monkeypatch, argv, waits):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mtl_zoo", "--help"])
    monkeypatch.delitem(sys.modules, "mtl_zoo.command_line", raising=False)
    assert program.answers_first() == waits
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mtl_zoo.exporting.something"])
    if argv[:1] == ["-m"]:
        assert not program.answers_first()
