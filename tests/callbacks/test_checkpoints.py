import errno
import os

import keras
import numpy as np
import pytest

from mtl_zoo.callbacks import checkpoints


def names(directory):
    return sorted(path.name[:17] for path in directory.iterdir())


def test_what_is_written_is_read(tmp_path):
    half = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor([1.5, -2.0], "bfloat16"))
    state = {
        "arrays": [np.arange(6.0).reshape(2, 3), np.float32(0.1), half, np.array(True)],
        "nested": {"text": "ü", "nothing": None, "numbers": [1, 0.1, float("inf")]},
    }
    path = checkpoints.write(tmp_path / "new", state)
    found_path, found = checkpoints.read(tmp_path / "new")
    assert found_path == path
    assert found["nested"] == state["nested"]
    for array, expected in zip(found["arrays"], state["arrays"], strict=True):
        assert array.dtype == expected.dtype
        assert array.tobytes() == expected.tobytes()


def test_there_may_be_none(tmp_path):
    assert checkpoints.read(tmp_path / "none") is None
    checkpoints.clear(tmp_path / "none")


def test_the_last_two_are_kept_and_cleared_with_the_directory(tmp_path):
    path = None
    for number in range(4):
        path = checkpoints.write(tmp_path / "backup", {"number": number}, path)
    assert names(tmp_path / "backup") == ["checkpoint-000003", "checkpoint-000004"]
    checkpoints.clear(tmp_path / "backup")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_damaged_one_gives_way_to_the_older_which_stays(tmp_path, size):
    first = checkpoints.write(tmp_path, {"number": 1})
    second = checkpoints.write(tmp_path, {"number": 2}, first)
    if size < 0:
        second.write_bytes(second.read_bytes().replace(b'"number"', b'"member"'))
    else:
        os.truncate(second, size)
    with pytest.warns(UserWarning, match=r"checkpoint-000002.*is damaged .* An older"):
        path, state = checkpoints.read(tmp_path)
    assert (path, state) == (first, {"number": 1})
    checkpoints.write(tmp_path, {"number": 3}, path)
    assert names(tmp_path) == ["checkpoint-000001", "checkpoint-000003"]


def test_a_full_disk_leaves_the_earlier_ones(tmp_path):
    first = checkpoints.write(tmp_path, {"number": 1})
    (tmp_path / checkpoints.PARTIAL).symlink_to("/dev/full")  # every write to it fails with ENOSPC
    with pytest.raises(OSError, match=r"must find room in .* are intact") as caught:
        checkpoints.write(tmp_path, {"array": np.zeros(10_000)}, first)
    assert caught.value.errno == errno.ENOSPC
    assert checkpoints.read(tmp_path) == (first, {"number": 1})
    assert names(tmp_path) == ["checkpoint-000001"]


def test_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"numbers, strings and arrays\. Received: <object"):
        checkpoints.write(tmp_path, {"thing": object()})
    assert not any(tmp_path.iterdir())


def test_the_newest_moves_in_place_of_what_is_there(tmp_path):
    checkpoints.write(tmp_path / "state", {"number": -1})
    older = checkpoints.write(tmp_path / "backup", {"number": 0})
    newest = checkpoints.write(tmp_path / "backup", {"number": 1}, older)
    checkpoints.move(tmp_path / "backup", tmp_path / "state")
    assert [path.name for path in (tmp_path / "state").iterdir()] == [newest.name]
    assert checkpoints.read(tmp_path / "state")[1] == {"number": 1}
    assert not (tmp_path / "backup").exists()
