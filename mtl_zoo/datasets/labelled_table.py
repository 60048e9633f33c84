"""A table of a user's own whose rows are examples: their labels and splits."""

import sys

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments, spaces
from mtl_zoo.datasets import pipeline
from mtl_zoo.datasets.labels import label_columns, read_labels
from mtl_zoo.validation import check_names

SPLITS = ("train", "validation", "test")


class LabelledTable:
    """What `CSVFile` and `ImageFolder` share: `TASKS`, `SIZES`, `bad_rows` and `load`.

    Args:
        table: `Table`.
        tasks: Sequence of `Task` with one class or a fixed number of values per example.
        classes: As for `read_labels`.
        split_column: As for `read_splits`.
        split_seed: As for `divide`.
        read_inputs: Function from `table` to the inputs, a structure of arrays `[rows, ...]`, and a
            dictionary from columns to what they were taken for, in words. It rejects rows that lack an input.

    Attributes:
        TASKS: Tuple of the tasks.
        SIZES: Dictionary from the names of splits to the numbers of their examples.
        bad_rows: List of one string per skipped row.
    """

    def __init__(self, table, tasks, classes, split_column, split_seed, read_inputs):
        _check(tasks, classes, split_column, split_seed)
        self.TASKS = tuple(tasks)
        labels = read_labels(table, self.TASKS, classes)
        splits = read_splits(table, split_column)
        inputs, notes = read_inputs(table)
        self.bad_rows = table.report()
        self._parts = divide({"inputs": inputs, "labels": labels}, table.good(), splits, split_seed)
        self.SIZES = {split: count_rows(part) for split, part in self._parts.items()}
        notes |= {split_column: "splits"} | _describe_labels(self.TASKS, labels, table.good())
        sizes = ", ".join(f"{size} {split}" for split, size in self.SIZES.items())
        lines = [f"  {column}: {notes.get(column, 'not read')}" for column in table.columns]
        self._unprinted = [f"'{table.path}': {sizes}", *lines]

    def load(self, split, batch_size, seed=0, drop_remainder=False):
        """Return one split in batches; the first call prints to stderr what each column was taken for.

        Args:
            split: `"train"` (reshuffled every epoch), `"validation"` or `"test"`.
            batch_size: Number of examples in a batch, at least 1.
            seed: Seed of the order of training examples. Defaults to 0.
            drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.

        Returns:
            `tf.data.Dataset` of `(inputs, {task: label})`: a dict of columns `[batch, 1]`, or images
            `[batch, height, width, 3]` in `[0, 1]`; int64 labels of classes, -1 where missing, and float32
            labels of numbers, NaN where missing, each `[batch]`, or `[batch, n]` with `n > 1` values.

        Raises:
            ValueError: If there is no such split, it has no rows, or the batch size is below 1.
        """
        dataset = batches(self._parts, split, batch_size, seed, drop_remainder, self._decode)
        if self._unprinted:
            print("\n".join(self._unprinted), file=sys.stderr)
            self._unprinted = []
        return dataset

    _decode = None  # a function from an example to one whose inputs are read from files, where they are


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


def _describe_labels(tasks, labels, good):
    """Return a dictionary from columns of labels to what they are."""
    notes = {}
    for task in spaces.with_spaces(tasks):
        rows, space = good, ""
        if task.where is not None:
            rows = good[np.asarray(spaces.inside(task, labels))[good]]
            space = f" in {len(rows)} rows where {spaces.describe(task)}"
        columns = label_columns(task)
        values = labels[task.label_name][rows].reshape(len(rows), len(columns))
        for column, label in zip(columns, values.T, strict=True):
            missing = np.sum(np.isnan(label) if task.max_label is None else label < 0)
            notes[column] = f"labels of task '{task.name}'{space}" + (
                f", {missing} missing" if missing else ""
            )
    return notes


def _split_name(cell):
    if cell not in SPLITS:
        raise ValueError(f"must be one of {list(SPLITS)}. Received: {cell!r}")
    return cell


def _pair(example):
    return example["inputs"], example["labels"]


def _check(tasks, classes, split_column, split_seed):
    """Raise a `ValueError` unless arguments that all tables share are of the right kind."""
    check_names(tasks)
    for name, words in arguments.mapping("classes", classes).items():
        arguments.texts(f"classes[{name!r}]", words)
    if split_column is not None:
        arguments.text("split_column", split_column)
    arguments.integer("split_seed", split_seed, 0, arguments.SEED)
