import contextlib
import json

import numpy as np
import pytest

from mtl_zoo import files


def test_reserved_directory_stays_if_it_is_used(tmp_path):
    with files.reserved(tmp_path / "a" / "b") as path:
        (path / "file").touch()
    assert (tmp_path / "a" / "b" / "file").exists()


def test_reserved_directory_goes_if_it_is_not_used(tmp_path):
    (tmp_path / "mine").mkdir()
    with contextlib.suppress(ZeroDivisionError), files.reserved(tmp_path / "mine" / "a" / "b") as path:
        assert path.is_dir()
        raise ZeroDivisionError
    assert not any((tmp_path / "mine").iterdir())


def test_reserved_directory_that_existed_stays(tmp_path):
    with files.reserved(tmp_path):
        pass
    assert tmp_path.is_dir()


@pytest.mark.parametrize("path", ["file", "file/run"])
def test_directory_that_cannot_be_written(tmp_path, path):
    (tmp_path / "file").touch()
    message = rf"'{tmp_path}/{path}' must be a directory that can be written \("
    with pytest.raises(OSError, match=message), files.reserved(tmp_path / path):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_what_json_has_not_becomes_null(tmp_path):
    values = {"test": {"loss": 0.5, "auc": float("nan")}, "list": [np.inf, None]}
    files.write_json(tmp_path / "metrics.json", values)
    found = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert found == {"test": {"loss": 0.5, "auc": None}, "list": [None, None]}
