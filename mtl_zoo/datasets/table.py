"""Tables of a user's own: the cells of a CSV file, their labels and splits, and what is wrong with them."""

import csv
import functools
import io
import math
import pathlib
import reprlib

import numpy as np
import tensorflow as tf
from absl import logging

from mtl_zoo import arguments
from mtl_zoo.datasets import pipeline
from mtl_zoo.validation import check_names

SPLITS = ("train", "validation", "test")
LARGEST = float(np.finfo("float32").max)


class Table:
    r"""Cells of a CSV file by column, and the rows that are not right.

    The first row names the columns. Spaces around a cell and empty lines do not count; a cell in double
    quotes may hold commas, quotes (doubled) and line ends.

    Args:
        path: Path of a CSV file in UTF-8, with or without a byte order mark.

    Attributes:
        columns: Dictionary from names to tuples of cells, of the rows with the right number of cells.
        rows: Number of each of these rows: that of the line in the file where it begins, from 1.
        bad: Dictionary from the number of each row that is not right to what is wrong with it.

    Raises:
        ValueError: If the file is empty or not UTF-8, or two columns have one name or one has none.
        OSError: If the file cannot be read.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text('name,age\n"Doe, Jane",40\nJim\n')
    ...     table = Table(path)
    >>> table.columns
    {'name': ('Doe, Jane',), 'age': ('40',)}
    >>> table.bad
    {3: 'there must be 2 cells. Received: 1'}
    """

    def __init__(self, path):
        self.path = arguments.path("path", path)
        self.rows, self.bad = [], {}
        records = _records(path)
        header = self._header(records)
        cells = list(self._right_rows(records, len(header)))
        self.columns = dict(
            zip(header, zip(*cells, strict=True) if cells else [()] * len(header), strict=True)
        )

    def check_columns(self, names):
        """Raise a `ValueError` unless the table has these columns."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"'{self.path}' must have the columns {missing}. Received columns: {list(self.columns)}"
            )

    def parse(self, name, function, filler):
        """Apply a function to the cells of a column; reject the rows where it raises a `ValueError`.

        Args:
            name: Name of the column.
            function: Function from a cell to a value; its error says what must hold for the column.
            filler: Value for a row that is rejected.

        Returns:
            List of values.
        """
        values = []
        for index, cell in enumerate(self.columns[name]):
            try:
                values.append(function(cell))
            except ValueError as error:
                self.reject(index, f"column '{name}' {error}")
                values.append(filler)
        return values

    def reject(self, index, reason):
        """Count a row, given by its index among `rows`, as bad; the first reason stays."""
        self.bad.setdefault(self.rows[index], reason)

    def good(self):
        """Return the indices of the rows that are right, an integer array."""
        return np.array([index for index, row in enumerate(self.rows) if row not in self.bad], "int64")

    def report(self):
        """Log how many rows are bad, with the first three.

        Returns:
            List of one string per bad row, in the order of the file.

        Raises:
            ValueError: If more than half of the rows are bad, or no row is left.
        """
        places = [f"'{self.path}', row {row}: {reason}" for row, reason in sorted(self.bad.items())]
        total = len({*self.rows, *self.bad})
        if not total:
            raise ValueError(f"'{self.path}' must have at least one row below the names of its columns.")
        if 2 * len(places) > total or len(places) == total:
            raise ValueError(
                f"At least half of the rows must be right. Received: {len(places)} of {total} are bad, "
                f"the first is {places[0]}"
            )
        if places:
            logging.warning("Skipped %d of %d rows: %s", len(places), total, "; ".join(places[:3]))
        return places

    def _header(self, records):
        lines, names = next(records, (None, []))
        if lines is None:
            raise ValueError(f"'{self.path}' must begin with a row of column names. Received: an empty file")
        if isinstance(names, csv.Error):
            raise ValueError(f"'{self.path}', row {lines[0]}: the row must be valid CSV ({names}).")
        if len(set(names)) < len(names) or "" in names:
            raise ValueError(f"'{self.path}': every column must have a name of its own. Received: {names}")
        return names

    def _right_rows(self, records, width):
        """Yield the rows of `width` cells and keep their numbers; all lines of another row are bad."""
        for lines, cells in records:
            if isinstance(cells, csv.Error):
                self.bad |= dict.fromkeys(lines, f"the row must be valid CSV ({cells})")
            elif len(cells) != width:
                self.bad |= dict.fromkeys(lines, f"there must be {width} cells. Received: {len(cells)}")
            else:
                self.rows.append(lines[0])
                yield cells


def check_arguments(tasks, classes, split_column, split_seed):
    """Raise a `ValueError` unless arguments that all tables share are of the right kind."""
    check_names(tasks)
    for name, words in arguments.mapping("classes", classes).items():
        arguments.texts(f"classes[{name!r}]", words)
    if split_column is not None:
        arguments.text("split_column", split_column)
    split_seed = arguments.integer("split_seed", split_seed, 0, arguments.SEED)


def read_labels(table, tasks, classes=None):
    """Read the labels of tasks, and reject the rows where one is neither right nor missing.

    A task's column is the one with its `label_name`, by default its name; with `n > 1` values per example
    there are `n` columns, `name_0` to `name_{n-1}`. An empty cell is a missing label.

    Args:
        table: `Table`.
        tasks: Sequence of `Task` with numbers or classes per example.
        classes: Optional dictionary from such names to sequences of the words that stand for the classes, in
            the order of their indices. Labels of other tasks of classes are integers.

    Returns:
        Dictionary from the tasks' label names to arrays `[rows]` or `[rows, n]`: int64 for classes, float32
        for numbers.

    Raises:
        ValueError: If a task has labels of another kind, a column is missing, or `classes` and tasks do not
            match.
    """
    check_names(tasks)
    table.check_columns([column for task in tasks for column in label_columns(task)])
    vocabularies = _vocabularies(tasks, classes or {})
    return {task.label_name: _labels(table, task, vocabularies.get(task.label_name)) for task in tasks}


def label_columns(task):
    """Return the names of the columns that hold a task's labels.

    Args:
        task: `Task`.

    Returns:
        List of strings.

    Raises:
        ValueError: If a label is more than a few numbers or one class.

    Example:

    >>> label_columns(mz.Task.binary("bought")), label_columns(mz.Task.regression("box", 2))
    (['bought'], ['box_0', 'box_1'])
    """
    if len(task.label_shape) > 1 or None in task.label_shape:
        raise ValueError(
            f"The labels of task '{task.name}' must be one class or a fixed number of values, to be in the "
            f"columns of a table. Received: label_shape={task.label_shape}"
        )
    width = math.prod(task.label_shape)
    return [task.label_name] if width == 1 else [f"{task.label_name}_{index}" for index in range(width)]


def read_feature(table, name):
    """Read a column of features, and reject the rows where a number is not finite in float32.

    Args:
        table: `Table`.
        name: Name of the column.

    Returns:
        Array `[rows]`: float32, with NaN for empty cells, if all cells of the good rows are numbers or empty;
        or else of strings.
    """
    cells = table.columns[name]
    if all(_is_number(cells[index]) for index in table.good()):
        return np.array(table.parse(name, _finite, math.nan), "float32")
    return np.array(cells, dtype=object)


def read_splits(table, split_column=None):
    """Read the split of each row, and reject the rows with an unknown one.

    Args:
        table: `Table`.
        split_column: Name of the column. Defaults to `None`: there is none.

    Returns:
        Array `[rows]` of names of splits, or `None` if there is no column.

    Raises:
        ValueError: If there is no such column.
    """
    if split_column is None:
        return None
    table.check_columns([split_column])
    return np.array(table.parse(split_column, _split_name, ""), dtype=object)


def divide(examples, good, splits=None, split_seed=0):
    """Divide the rows that are right among the splits.

    Args:
        examples: Structure of arrays `[rows, ...]`.
        good: Integer array, the indices of the rows to divide.
        splits: As `read_splits` returns it. Defaults to `None`: 70% of the rows are for training and 15% each
            for validation and test, after a permutation.
        split_seed: Seed of the permutation. Defaults to 0.

    Returns:
        Dictionary from the name of each split to the structure of arrays of its rows.

    Example:

    >>> parts = divide(np.arange(20), good=np.arange(20))
    >>> [len(part) for part in parts.values()]
    [14, 3, 3]
    """
    if splits is None:
        order = good[np.random.default_rng(split_seed).permutation(len(good))]
        parts = np.split(order, [round(0.7 * len(order)), round(0.85 * len(order))])
    else:
        parts = [good[splits[good] == split] for split in SPLITS]
    return {
        split: tf.nest.map_structure(lambda column, rows=rows: column[rows], examples)
        for split, rows in zip(SPLITS, parts, strict=True)
    }


def batches(parts, split, batch_size, seed=0, drop_remainder=False, decode=None):
    """Return one split in batches.

    Args:
        parts: Dictionary from names of splits to `{"inputs": structure, "labels": structure}` of arrays
            `[rows, ...]`.
        split: Name of the split; `"train"` is reshuffled every epoch.
        batch_size: Number of examples in a batch, at least 1.
        seed: Seed of the order of training examples. Defaults to 0.
        drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.
        decode: As for `pipeline.batches`. Defaults to `None`.

    Returns:
        `tf.data.Dataset` of `(inputs, labels)`.

    Raises:
        ValueError: If there is no such split, it has no rows, or the batch size is below 1.
    """
    pipeline.check_split(parts, split)
    part = parts[split]
    if not count_rows(part):
        raise ValueError(f"Split '{split}' must have at least one row to be loaded. Received: none")
    examples = tf.data.Dataset.from_tensor_slices(part)
    return pipeline.batches(
        examples,
        split,
        batch_size,
        _pair,
        seed,
        drop_remainder,
        shuffle_buffer=count_rows(part),
        decode=decode,
    )


def count_rows(part):
    """Return the number of rows of a structure of arrays."""
    return len(tf.nest.flatten(part)[0])


def _records(path):
    """Yield the lines of each row that is not empty, a range, and its cells or the `csv.Error` in it."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), skipinitialspace=True, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield range(first, reader.line_num + 1), error
            continue
        if cells is None:
            return
        if len(cells) > 1 or any(cells):
            yield range(first, reader.line_num + 1), [cell.strip() for cell in cells]


def _text(path):
    try:
        return pathlib.Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise type(error)(f"'{path}' must be a file that can be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ValueError(
            f"'{path}', row {row}: the text must be UTF-8. Received: byte 0x{byte:02x}"
        ) from None


def _vocabularies(tasks, classes):
    """Return the dictionary from words to indices of each task that has `classes`."""
    sizes = {task.label_name: task.max_label + 1 for task in tasks if task.max_label is not None}
    vocabularies = {}
    for name, words in classes.items():
        vocabularies[name] = {str(word).strip(): index for index, word in enumerate(words)}
        if len(vocabularies[name]) != len(words) or sizes.get(name) != len(words) or "" in vocabularies[name]:
            raise ValueError(
                f"`classes` must have one word per class, for tasks with these numbers of classes: {sizes}. "
                f"Received: {len(words)} words for '{name}', {reprlib.repr(list(words))}"
            )
    return vocabularies


def _labels(table, task, vocabulary):
    """Return an array of a task's labels, without the axis of values where there is one."""
    if task.max_label is None:
        parse, missing, dtype = _finite, math.nan, "float32"
    elif vocabulary:
        parse, missing, dtype = functools.partial(_word_index, vocabulary=vocabulary), -1, "int64"
    else:
        parse, missing, dtype = functools.partial(_class_index, max_label=task.max_label), -1, "int64"
    columns = [np.array(table.parse(name, parse, missing), dtype) for name in label_columns(task)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)


def _word_index(cell, vocabulary):
    if cell and cell not in vocabulary:
        raise ValueError(f"must be one of {reprlib.repr(list(vocabulary))}. Received: {cell!r}")
    return vocabulary.get(cell, -1)


def _class_index(cell, max_label):
    if not cell:
        return -1
    value = float(cell) if _is_number(cell) else math.nan
    if not (value.is_integer() and 0 <= value <= max_label):
        raise ValueError(f"must be an integer from 0 to {max_label}. Received: {cell!r}")
    return int(value)


def _finite(cell):
    value = float(cell or "nan") if _is_number(cell) else math.inf
    if abs(value) > LARGEST:
        raise ValueError(f"must be a finite number. Received: {cell!r}")
    return value


def _is_number(cell):
    """Return whether a cell is a number, NaN or empty; `1_000` is a number to Python alone."""
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return "_" not in cell


def _split_name(cell):
    if cell not in SPLITS:
        raise ValueError(f"must be one of {list(SPLITS)}. Received: {cell!r}")
    return cell


def _pair(example):
    return example["inputs"], example["labels"]
