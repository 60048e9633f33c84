"""Genes of yeast: which of 14 functional classes each has, from expression and evolution."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import installed, pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

NUM_INPUTS = 103
TASKS = tuple(Task.binary(f"class_{number}") for number in range(1, 15))
FIELD = "biology"
SIZES = {"train": 1_691, "validation": 363, "test": 363}
LICENSE = "none stated (MULAN)"
DOWNLOAD = "package river 0.26.1"
FILE = (
    *("river", "0.26.1", "river/datasets/yeast.csv.gz"),
    "2969cb4bab877a27adcbe17871fa0b378a1e54b98816cd6106b542ee450a1c09",
)


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from package `river`; the arguments are in `mtl_zoo.datasets`.

    Returns:
        `tf.data.Dataset` of `(gene, {"class_1": label, ..., "class_14": label})`: float32 `[batch, 103]`,
        expression in microarrays and phylogenetic profile, standardized by mean and deviation of the training
        split; and int64 `[batch]`. A gene has 4.2 classes on average. Splits are at random.

    Raises:
        FileNotFoundError: If the package is not installed.

    Reference:
        [Elisseeff and Weston, 2001](https://papers.nips.cc/paper/2001/hash/39dcaf7a053dc372fbc391d4e6b5d693-Abstract.html)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    genes, classes = read(installed.find(*FILE))
    train, rows = (pipeline.rows(SIZES, name) for name in ("train", split))
    genes = (genes[rows] - genes[train].mean(axis=0)) / genes[train].std(axis=0)
    labels = {task.name: column for task, column in zip(TASKS, classes[rows].T, strict=True)}
    examples = tf.data.Dataset.from_tensor_slices({"gene": genes.astype("float32"), **labels})
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder)


def inputs():
    """Return a fresh input, `[batch, 103]`."""
    return keras.Input((NUM_INPUTS,), name="gene")


def encoder():
    """Return stages that suit the genes: two dense ones."""
    return mlp(128, 64, dropout=0.2)


def read(path):
    """Return the numbers of a file of genes, as they were published.

    Args:
        path: Path of a gzipped table with a header, of 103 inputs and 14 classes.

    Returns:
        Arrays `[genes, 103]`, float64, and `[genes, 14]`, int64.
    """
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    return table[:, :NUM_INPUTS], table[:, NUM_INPUTS:].astype("int64")


def _transform(features):
    return features["gene"], pipeline.pick(features, TASKS)
