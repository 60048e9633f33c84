"""Cell nuclei of breast tumours: diagnosis, and the worst measurements from the mean ones."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

NUM_MEASUREMENTS = 10
TASKS = (Task.binary("malignant"), Task.regression("worst", NUM_MEASUREMENTS))
FIELD = "medicine"
SIZES = {"train": 398, "validation": 85, "test": 86}
LICENSE = "CC BY 4.0"
DOWNLOAD = ""


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from scikit-learn; the arguments are in `mtl_zoo.datasets`.

    Returns:
        `tf.data.Dataset` of `(measurements, {"malignant": label, "worst": measurements})`: float32
        `[batch, 20]`, mean and standard error of ten measurements of a tumour's nuclei; int64 `[batch]`; and
        float32 `[batch, 10]`, for each measurement the mean of its three largest values. All measurements are
        standardized by mean and deviation of the training split. Splits are stratified by diagnosis.

    Reference:
        [Street et al., 1993](https://doi.org/10.1117/12.148698)
    """
    from sklearn.datasets import load_breast_cancer

    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    data = load_breast_cancer()
    rows = _split(data.target)
    table = (data.data - data.data[rows["train"]].mean(axis=0)) / data.data[rows["train"]].std(axis=0)
    table = table[rows[split]].astype("float32")
    features, worst = np.split(table, [2 * NUM_MEASUREMENTS], axis=1)
    malignant = (data.target[rows[split]] == 0).astype("int64")
    examples = {"measurements": features, "malignant": malignant, "worst": worst}
    examples = tf.data.Dataset.from_tensor_slices(examples)
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder)


def inputs():
    """Return a fresh input, `[batch, 20]`."""
    return keras.Input((2 * NUM_MEASUREMENTS,), name="measurements")


def encoder():
    """Return stages that suit the measurements: two dense ones."""
    return mlp(64, 32)


def _split(target):
    from sklearn.model_selection import train_test_split

    train, rest = train_test_split(np.arange(len(target)), test_size=171, stratify=target, random_state=0)
    validation, test = train_test_split(rest, test_size=86, stratify=target[rest], random_state=0)
    return {"train": train, "validation": validation, "test": test}


def _transform(features):
    return features["measurements"], pipeline.pick(features, TASKS)
