"""Patients of the HIV trial ACTG 175: immune cells after 20 and 96 weeks, and progression."""

import csv

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import installed, pipeline
from mtl_zoo.encoders import tabular
from mtl_zoo.task import Task

TASKS = (Task.regression("cd4_week_20"), Task.regression("cd4_week_96"), Task.binary("event"))
FIELD = "medicine"
SIZES = {"train": 1_497, "validation": 321, "test": 321}
LICENSE = "CC BY 4.0 (UCI)"
DOWNLOAD = "package lifelines 0.30.3"
FILE = (
    *("lifelines", "0.30.3", "lifelines/datasets/ACTG175.csv"),
    "56fba31fa0d7bfbff9667b7149fd96a97c352e72aa582871a62a935e812f0e07",
)
NUMBERS = ("age", "wtkg", "karnof", "preanti", "cd40", "cd80")
CATEGORIES = ("hemo", "homo", "drugs", "oprior", "z30", "race", "gender", "strat", "symptom", "arms")
FEATURES = (*NUMBERS, *CATEGORIES)
LABELS = {"cd4_week_20": "cd420", "cd4_week_96": "cd496", "event": "cens"}
CELLS = 100.0  # per cubic millimetre


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches, from package `lifelines`; the arguments are in `mtl_zoo.datasets`.

    Inputs are what was known when treatment began, under the table's names: age (years), weight (`wtkg`,
    kilograms), Karnofsky score, days of earlier antiretroviral therapy (`preanti`), CD4 and CD8 cells per
    cubic millimetre (`cd40`, `cd80`); haemophilia, homosexual activity, drug use, earlier therapy (`oprior`,
    `z30`, `strat`), race, sex, symptoms; and the treatment (`arms`): zidovudine alone (0), with didanosine
    (1), with zalcitabine (2), or didanosine alone (3). Nothing that was measured later is among them.

    Returns:
        `tf.data.Dataset` of `(columns, {"cd4_week_20": cells, "cd4_week_96": cells, "event": label})`: dict
        of float32 and int64 columns `[batch, 1]`; float32 `[batch]`, hundreds of CD4 cells per cubic
        millimetre, NaN for the 797 of 2,139 patients who were not measured after 96 weeks; and int64
        `[batch]`, 1 where the count halved, AIDS was diagnosed or the patient died. Splits are at random.

    Raises:
        FileNotFoundError: If the package is not installed.

    Note:
        The patients without a count after 96 weeks are not a random part: after 20 weeks they had 354 cells
        on average, the others 381.

    Reference:
        [Hammer et al., 1996](https://doi.org/10.1056/NEJM199610103351501)
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    columns = read(installed.find(*FILE))
    rows = pipeline.rows(SIZES, split)
    examples = tf.data.Dataset.from_tensor_slices({name: column[rows] for name, column in columns.items()})
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder)


def inputs():
    """Return fresh inputs, one of shape `[batch, 1]` per column."""
    return {
        name: keras.Input((1,), dtype="float32" if name in NUMBERS else "int64", name=name)
        for name in FEATURES
    }


def encoder():
    """Return stages that suit the columns, adapted on the training split: embeddings and two dense ones."""
    return tabular(load("train", 4_096), 64, 32, embedding_dim=4, dropout=0.2)


def read(path):
    """Return the features and labels of a file of patients.

    Args:
        path: Path of a table with a header; `NA` is missing.

    Returns:
        Dict from the names of features and tasks to arrays `[patients]`; categories and `event` are int64,
        numbers float32, and labels that are numbers hundreds of cells.
    """
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {name: _column(rows, name) for name in NUMBERS}
    categories = {name: _column(rows, name).astype("int64") for name in CATEGORIES}
    labels = {task: _column(rows, name) for task, name in LABELS.items()}
    cells = {task: labels[task] / np.float32(CELLS) for task in ("cd4_week_20", "cd4_week_96")}
    return numbers | categories | cells | {"event": labels["event"].astype("int64")}


def _column(rows, name):
    return np.array([row[name].replace("NA", "nan") for row in rows], "float32")


def _transform(features):
    columns = {name: features[name][:, None] for name in FEATURES}
    return columns, pipeline.pick(features, TASKS)
