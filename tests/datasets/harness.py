"""What every dataset must do, embedded or mocked from the catalogue's feature specification."""

import pathlib
import socket

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from mtl_zoo.command_line import main as cli
from mtl_zoo.datasets import installed

SPLITS = ("train", "validation", "test")


def refuse(*args, **kwargs):
    raise AssertionError("No network may be used.")


def block_network(patch):
    """Let any use of the network fail while a `pytest.MonkeyPatch` lasts."""
    patch.setattr(socket.socket, "connect", refuse)
    patch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def no_network(monkeypatch):
    """Fail at any use of the network."""
    block_network(monkeypatch)


def mock(num_examples=8, **options):
    """Return a context in which TFDS gives random examples of the real features of any dataset."""
    return tfds.testing.mock_data(num_examples, policy=tfds.testing.MockPolicy.USE_CODE, **options)


def examples(features):
    """Return what a mocked dataset holds, from one array or list of values per feature."""
    return lambda self, *args, **kwargs: tf.data.Dataset.from_tensor_slices(features)


def real(package, version, name, sha256):
    """Return the path of a file that an installed package carries; skip the test where there is none."""
    try:
        return installed.find(package, version, name, sha256)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def pretend(patch, folder):
    """Let a `pytest.MonkeyPatch` take files of packages from a folder, where they lie under their names."""
    patch.setattr(installed, "find", lambda package, version, name, sha256: folder / pathlib.Path(name).name)


def check_dataset(dataset, tmp_path, capsys, batch_size=4, **flags):
    """Check labels of all splits, then train a step and evaluate through the command line."""
    assert set(dataset.SIZES) == set(SPLITS)
    assert dataset.FIELD
    assert dataset.LICENSE
    places = {key: value for key, value in flags.items() if key in ("data_dir", "manual_dir")}
    for split in SPLITS:
        _, labels = next(iter(dataset.load(split, batch_size, **places)))
        assert set(labels) == {task.name for task in dataset.TASKS}
        for task in dataset.TASKS:
            assert len(labels[task.name]) == batch_size
            assert int(task.out_of_range(labels[task.name])) == 0
            assert float(task.labelled_fraction(labels[task.name])) > 0
    with pytest.raises(ValueError, match=r"'validation', 'test'\]. Received: split='dev'"):
        dataset.load("dev", batch_size, **places)
    name = dataset.__name__.rsplit(".", 1)[1]
    flags = {"dataset": name, "batch_size": batch_size, "epochs": 1, "run_dir": tmp_path / "run", **flags}
    tasks = flags.pop("tasks", [task.name for task in dataset.TASKS])
    flags["tasks"] = ",".join(tasks)
    assert cli.main(["train", "--quiet", *(f"--{key}={value}" for key, value in flags.items())]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1 : len(tasks) + 1]] == tasks


def only_batch(dataset, split="train", batch_size=4, **options):
    """Return the first batch as arrays."""
    return next(dataset.load(split, batch_size, **options).as_numpy_iterator())


def assert_in_unit_interval(images):
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.max() > 0.5
