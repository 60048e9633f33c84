import os
import pathlib

import pytest

from mtl_zoo.exporting import check_absent, staged


def test_appears_when_complete(tmp_path):
    path = tmp_path / "deep" / "1"
    with staged(path) as partial:
        partial.mkdir()
        (partial / "part").write_text("whole")
        assert not path.exists()
        assert not any(entry.name.isdigit() for entry in path.parent.iterdir())
    assert os.listdir(path.parent) == ["1"]
    assert (path / "part").read_text() == "whole"


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_nothing(tmp_path, failure):
    def write_half():
        with staged(tmp_path / "model.tflite") as partial:
            partial.write_text("half")
            raise failure

    with pytest.raises(type(failure)):
        write_half()
    assert os.listdir(tmp_path) == []


def test_another_that_was_faster_stays(tmp_path):
    def write_late():
        with staged(tmp_path / "1") as partial:
            partial.write_text("late")
            (tmp_path / "1").write_text("early")

    with pytest.raises(FileExistsError, match="must not exist"):
        write_late()
    assert os.listdir(tmp_path) == ["1"]
    assert (tmp_path / "1").read_text() == "early"


def make_dangling_link(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [pathlib.Path.mkdir, pathlib.Path.touch, make_dangling_link])
def test_refuses_whatever_exists(tmp_path, make):
    check_absent(tmp_path / "1")
    make(tmp_path / "1")
    with pytest.raises(FileExistsError, match=r"`path` must not exist.*Received: path='.*1'"):
        check_absent(tmp_path / "1")
    with pytest.raises(FileExistsError), staged(tmp_path / "1"):
        pytest.fail("nothing may be written")
    assert os.listdir(tmp_path) == ["1"]
