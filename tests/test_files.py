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


def test_a_locked_directory_is_free_again_at_the_end(tmp_path):
    pytest.importorskip("fcntl")
    for _ in range(2):
        with (
            files.locked(tmp_path),
            pytest.raises(ValueError, match="another process"),
            files.locked(tmp_path),
        ):
            pass
    assert not list(tmp_path.iterdir())


def test_what_json_has_not_becomes_null(tmp_path):
    values = {"test": {"loss": 0.5, "auc": float("nan")}, "list": [np.inf, None]}
    files.write_json(tmp_path / "metrics.json", values)
    found = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert found == {"test": {"loss": 0.5, "auc": None}, "list": [None, None]}


def test_what_is_replaced_is_the_old_or_the_new(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with contextlib.suppress(ZeroDivisionError), files.replaced(path) as partial:
        partial.write_text("half")
        raise ZeroDivisionError
    assert files.read_json(path) == {"a": 1}
    with files.replaced(path) as partial:
        partial.write_text('{"a": 2}')
        assert files.read_json(path) == {"a": 1}
    assert files.read_json(path) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_names_the_file(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"a\.json' must be a file that can be written.*Is a directory"):
        files.write_json(tmp_path / "a.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_kinds_of_values(tmp_path):
    path = tmp_path / "a.json"
    kinds = {"n": files.POSITIVE, "text": files.TEXT._replace(optional=True)}
    files.write_json(path, {"n": 1})
    assert files.read_json(path, kinds) == {"n": 1}
    files.write_json(path, {"n": 1, "text": None})
    with pytest.raises(ValueError, match=r"'text' in '.*a\.json' must be a string\. Again\. Received: None"):
        files.read_json(path, kinds, "Again.")
    for wrong in (0, 1.0, True, "1", 2**63):
        files.write_json(path, {"n": wrong})
        with pytest.raises(ValueError, match=f"'n' in .* must be a positive integer.* Received: {wrong!r}"):
            files.read_json(path, kinds)


def test_sha256_is_that_of_the_standard(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")
