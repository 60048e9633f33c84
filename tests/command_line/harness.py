"""A tiny dataset for the command line, and what tests of commands say again and again."""

import csv
import types

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import encoders
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import run
from mtl_zoo.task import Task

TASKS = (Task.classification("kind", 3), Task.regression("size"))


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, fault=None, at="train"):
    """Twelve examples whose labels follow from their inputs; `fault` spoils the split `at`."""
    x = np.random.default_rng(len(split)).normal(size=(12, 4)).astype("float32")
    labels = {"kind": x[:, :3].argmax(-1), "size": x.sum(-1)}
    if split == at and fault == "range":
        labels["kind"][-1] = 3
    if split == at and fault == "shape":
        labels["kind"] = np.stack([labels["kind"]] * 2, axis=1)
    dataset = tf.data.Dataset.from_tensor_slices((x, labels))
    return dataset.take(0 if split == at and fault == "empty" else 12).batch(batch_size)


def tiny():
    """Return the dataset as a module."""
    module = types.ModuleType("tiny", "Numbers.")
    module.TASKS, module.load = TASKS, load
    module.inputs = lambda: keras.Input((4,), name="x")
    module.encoder = lambda: encoders.mlp(8)
    module.FIELD, module.SIZES, module.LICENSE, module.DOWNLOAD = "synthetic", {"train": 12_000}, "free", ""
    return module


def train(run_dir, *arguments, dataset="tiny"):
    """Run `mtl-zoo train` for three epochs."""
    recipe = ["--epochs=3", "--batch_size=4", "--learning_rate=0.1", "--quiet"]
    return cli.main(["train", f"--dataset={dataset}", f"--run_dir={run_dir}", *recipe, *arguments])


def error_line(capsys):
    """Return the one line on stderr."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def rows(run_dir):
    """Return the rows of a history."""
    with (run_dir / run.HISTORY).open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def files(path):
    """Return the names of all files in a directory."""
    return sorted(str(file.relative_to(path)) for file in path.rglob("*"))
