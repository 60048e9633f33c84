"""Income and marital status of 1994 and 1995 US census respondents: the MMoE paper's two tasks."""

import csv
import gzip
import math
import zlib

import keras

from mtl_zoo.datasets import cells, pipeline
from mtl_zoo.encoders import tabular
from mtl_zoo.task import Task

TASKS = (Task.binary("income"), Task.binary("never_married"))

FIELD = "recommendation"
SIZES = {"train": 209_500, "validation": 44_892, "test": 44_893}
LICENSE = "CC BY 4.0"
DOWNLOAD = "UCI, or --manual_dir with its files"
SPLITS = {split: split for split in SIZES}
FILES = ("census-income.data.gz", "census-income.test.gz")
URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/census-income-mld/"
INCOMES = {"- 50000.": 0, "50000+.": 1}

COLUMNS = (
    "age",
    "class_of_worker",
    "industry_code",
    "occupation_code",
    "education",
    "wage_per_hour",
    "enrolled_in_education",
    "marital_status",
    "industry",
    "occupation",
    "race",
    "hispanic_origin",
    "sex",
    "union_member",
    "unemployment_reason",
    "employment",
    "capital_gains",
    "capital_losses",
    "dividends",
    "tax_filer",
    "previous_region",
    "previous_state",
    "household_detail",
    "household_summary",
    "instance_weight",
    "migration_msa",
    "migration_region",
    "migration_within_region",
    "same_house_a_year_ago",
    "migration_from_sunbelt",
    "persons_worked_for",
    "parents_present",
    "father_birth_country",
    "mother_birth_country",
    "birth_country",
    "citizenship",
    "self_employed",
    "veterans_questionnaire",
    "veterans_benefits",
    "weeks_worked",
    "year",
    "income",
)
NUMBERS = (
    "age",
    "wage_per_hour",
    "capital_gains",
    "capital_losses",
    "dividends",
    "persons_worked_for",
    "weeks_worked",
)
# The labels, the weight of a row in the survey, and two columns whose values say "never married".
EXCLUDED = ("income", "marital_status", "instance_weight", "household_detail", "household_summary")
FEATURES = tuple(name for name in COLUMNS if name not in EXCLUDED)


def load(split, batch_size, data_dir=None, manual_dir=None, seed=0, drop_remainder=False):
    """Load one split in batches; the first call prepares the dataset, which takes a minute or two.

    Args:
        split: `"train"` (70% of the rows, reshuffled every epoch), `"validation"` or `"test"` (15% each).
        batch_size: Number of examples in a batch, at least 1.
        data_dir: Directory of prepared datasets. Defaults to that of TFDS.
        manual_dir: Directory with `census-income.data.gz`, `census-income.test.gz` or both. Defaults to
            `None`: both are downloaded from UCI.
        seed: Seed of the order of training examples; the splits are always the same. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.

    Returns:
        `tf.data.Dataset` of `({column: value}, {"income": label, "never_married": label})`: float32 or string
        columns `[batch, 1]`, and int64 labels `[batch]`, 0 or 1.

    Raises:
        ValueError: If there is no such split, the batch size is below 1, a row of a file is not right, or the
            dataset was prepared from other files than `manual_dir` holds now.
        OSError: If the files are not there or cannot be read, or `data_dir` cannot be written.
    """
    from mtl_zoo.datasets._census_income_builder import CensusIncome

    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder, manual_dir=manual_dir)
    builder = CensusIncome(data_dir=data_dir)
    builder.manual_dir = manual_dir
    examples = pipeline.read(builder, SPLITS, split, seed)
    builder.check_files()
    return pipeline.batches(examples, split, batch_size, _transform, seed, drop_remainder, 200_000)


def __getattr__(name):
    """Return the TFDS builder `CensusIncome`, imported when it is asked for."""
    if name != "CensusIncome":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mtl_zoo.datasets._census_income_builder import CensusIncome

    return CensusIncome


def inputs():
    """Return fresh inputs, one of shape `[batch, 1]` per column."""
    return {
        name: keras.Input((1,), dtype="float32" if name in NUMBERS else "string", name=name)
        for name in FEATURES
    }


def encoder(data_dir=None, manual_dir=None):
    """Return stages that suit the columns, adapted on the training split: an embedding and two dense ones.

    Args:
        data_dir: As for `load`.
        manual_dir: As for `load`.

    Returns:
        List of stages.
    """
    return tabular(load("train", 4096, data_dir, manual_dir), 64, 32)


def read(path):
    """Read a file of the survey.

    Args:
        path: Path of a gzipped file of rows of 42 columns.

    Returns:
        List of one dict per row, of the features and the labels.

    Raises:
        ValueError: If the file is not gzipped text, or a row has another number of columns, a word where a
            number should be, or an unknown income.
    """
    try:
        with gzip.open(path, "rt") as file:
            rows = enumerate(csv.reader(file), start=1)
            return [_example(row, f"'{path}', row {number}") for number, row in rows]
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' must be a complete gzipped text file ({error}).") from error


def _example(row, place):
    if len(row) != len(COLUMNS):
        raise ValueError(f"{place}: there must be {len(COLUMNS)} columns. Received: {len(row)}")
    values = dict(zip(COLUMNS, map(str.strip, row), strict=True))
    if values["income"] not in INCOMES:
        raise ValueError(f"{place}: income must be one of {list(INCOMES)}. Received: {values['income']!r}")
    numbers = {name: _number(values[name], f"{place}: {name}") for name in NUMBERS}
    labels = {
        "income": INCOMES[values["income"]],
        "never_married": int(values["marital_status"] == "Never married"),
    }
    return {name: values[name] for name in FEATURES} | numbers | labels


def _number(text, place):
    if not cells.is_number(text) or not math.isfinite(float(text)):
        raise ValueError(f"{place} must be a number. Received: {text!r}")
    return float(text)


def _transform(features):
    columns = {name: features[name][:, None] for name in FEATURES}
    return columns, pipeline.pick(features, TASKS)
