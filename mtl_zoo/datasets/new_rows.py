"""New rows of a table, to be answered: the inputs of a trained model, without any labels."""

import math

import numpy as np
import tensorflow as tf

from mtl_zoo.datasets import cells, image_folder
from mtl_zoo.datasets.csv_file import input_names
from mtl_zoo.datasets.table import Table
from mtl_zoo.encoders.tabular import MISSING

UNKNOWN = MISSING + 1  # an integer that no vocabulary holds
REMEDY = "Correct it; a cell may be empty where nothing is known."


def read_new_rows(path, about, folder=None):
    """Read the columns of features of a new table, as training took them; other columns are not read.

    Args:
        path: Path of the table, as for `mtl_zoo.datasets.CSVFile`, or of a table of images.
        about: Dictionary of how inputs were read in training: `kind`, `csv_file` or `image_folder`, and
            `missing`, as for `Table`; of a `csv_file` `columns`, as in `CSVFile.kinds`; of an `image_folder`
            `folder`, `file_column` and `size`.
        folder: Directory of the images. Defaults to that of training.

    Returns:
        Tuple of the rows' numbers as text, and a `tf.data.Dataset` of one example per row, in their order.

    Raises:
        ValueError: If a column is missing, there is no row, or a row is not right.
        OSError: If a file cannot be read.
    """
    table = Table(path, about.get("missing"))
    read = _read_columns if about["kind"] == "csv_file" else _read_images
    inputs = read(table, about, folder)
    _check_rows(table)
    return list(map(str, table.rows)), inputs()


def _read_columns(table, about, _):
    """Return a function that returns the columns, each `[rows, 1]`, by the names of the inputs."""
    table.check_columns(about["columns"])
    columns = {
        name: READERS[about["columns"][column]](table, column)[:, None]
        for name, column in input_names(about["columns"]).items()
    }
    return lambda: tf.data.Dataset.from_tensor_slices(columns)


def _read_images(table, about, folder):
    """Return a function that returns the images."""
    table.check_columns([about["file_column"]])
    paths = image_folder.read_paths(table, folder or about["folder"], about["file_column"])
    files = tf.constant(paths, tf.string)
    size = tuple(about["size"])
    return lambda: tf.data.Dataset.from_tensor_slices(files).map(
        lambda path: image_folder.decode(path, size), tf.data.AUTOTUNE
    )


def _numbers(table, column):
    values = table.parse(column, cells.number, math.nan, table.markers(column))
    return np.array(values, "float32")


def _whole_numbers(table, column):
    return np.array(table.parse(column, _whole_number, MISSING, table.markers(column)), "int64")


def _integers(table, column):
    """Return a column of categories that were integers in training; others are unknown ones."""
    return np.array(table.parse(column, _known_integer, MISSING, table.markers(column)), "int64")


def _strings(table, column):
    markers = table.markers(column)
    return np.array(["" if cell in markers else cell for cell in table.columns[column]], dtype=object)


READERS = {
    "numbers float32": _numbers,
    "numbers int64": _whole_numbers,
    "categories int64": _integers,
    "categories string": _strings,
}


def _whole_number(cell):
    value = cells.integer(cell)
    if value is None or abs(value) > 2**62:
        raise ValueError(f"must be a whole number, as in training. Received: {cell!r}")
    return value


def _known_integer(cell):
    value = cells.integer(cell)
    return UNKNOWN if value is None or abs(value) >= 2**63 else value


def _check_rows(table):
    """Raise a `ValueError` if a row is not right, since every row gets an answer."""
    if not table.rows and not table.bad:
        raise ValueError(f"'{table.path}' must have at least one row below the names of its columns.")
    if table.bad:
        row, reason = min(table.bad.items())
        more = f" ({len(table.bad)} rows are not right)" if len(table.bad) > 1 else ""
        raise ValueError(f"'{table.path}', row {row}: {reason}. {REMEDY}{more}")
