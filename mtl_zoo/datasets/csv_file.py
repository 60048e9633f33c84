"""A CSV file of a user's own, with columns of features and columns of labels."""

import re

from mtl_zoo import arguments
from mtl_zoo.datasets import table
from mtl_zoo.encoders.tabular import tabular, tabular_inputs


class CSVFile:
    r"""A table of features and labels, used like a dataset module: `TASKS`, `load`, `inputs`, `encoder`.

    The first row of the file names its columns. The labels of a task are in the column with its name; with
    `n > 1` values per example, in `name_0` to `name_{n-1}`. An empty cell is a missing label. All other
    columns are features: numbers where every cell is a number or empty (which the default encoder takes for
    the mean), or else categories, so that one word makes a column one of categories; `inputs()` shows which
    is which. A row that is not right is skipped, counted and reported by one warning.

    Args:
        path: Path of a CSV file in UTF-8: commas between the cells, and double quotes around a cell that
            holds commas, quotes or line ends.
        tasks: Sequence of `Task` with one class or a fixed number of values per example.
        classes: Optional dictionary from the names of tasks to the words in the cells that stand for classes
            0, 1 and so on. Defaults to `None`: labels of classes are integers from 0.
        ignore: Names of columns that are neither labels nor features. Defaults to none.
        split_column: Name of the column that says `train`, `validation` or `test`. Defaults to `None`: 70% of
            the rows are for training and 15% each for validation and test.
        split_seed: Seed of the permutation of the rows before they are split so. Defaults to 0.

    Attributes:
        TASKS: Tuple of the tasks.
        SIZES: Dictionary from the names of splits to the numbers of their examples.
        bad_rows: List of one string per skipped row: file, row and reason. The number of a row is that of the
            line where it begins; the names of the columns are in row 1.

    Raises:
        ValueError: If the file is empty or not UTF-8, a column is missing or has no name of its own, no
            column is left for features, tasks or classes do not fit a table, more than half of the rows are
            bad, or no row is left.
        OSError: If the file cannot be read.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("id,age,job,bought,colour\n" + "7,31,nurse,1,red\n8,,pilot,0,\n" * 10)
    ...     tasks = [mz.Task.binary("bought"), mz.Task.classification("colour", 2)]
    ...     data = CSVFile(path, tasks, classes={"colour": ["red", "green"]}, ignore=["id"])
    >>> data.SIZES
    {'train': 14, 'validation': 3, 'test': 3}
    >>> {name: column.dtype for name, column in data.inputs().items()}
    {'age': 'float32', 'job': 'string'}
    >>> model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    >>> trainer = mz.Trainer(model, data.TASKS)
    >>> trainer.compile("adam")
    >>> history = trainer.fit(data.load("train", batch_size=7), verbose=0)

    Note:
        Keras takes only letters, digits and underscores of ASCII in all places: a feature `hours per week` is
        the input `hours_per_week`. Where two columns become one name, the later one gets a number.
    """

    def __init__(self, path, tasks, classes=None, ignore=(), split_column=None, split_seed=0):
        _check(path, tasks, classes, ignore, split_column, split_seed)
        self.TASKS = tuple(tasks)
        rows = table.Table(path)
        labels = table.read_labels(rows, self.TASKS, classes)
        splits = table.read_splits(rows, split_column)
        columns = _feature_columns(rows, self.TASKS, ignore, split_column)
        features = {name: table.read_feature(rows, column) for name, column in columns.items()}
        self.bad_rows = rows.report()
        examples = {"inputs": features, "labels": labels}
        self._parts = table.divide(examples, rows.good(), splits, split_seed)
        self._first_row = {name: column[rows.good()[:1]] for name, column in features.items()}
        self.SIZES = {split: table.count_rows(part) for split, part in self._parts.items()}

    def load(self, split, batch_size, seed=0, drop_remainder=False):
        """Return one split in batches.

        Args:
            split: `"train"` (reshuffled every epoch), `"validation"` or `"test"`.
            batch_size: Number of examples in a batch, at least 1.
            seed: Seed of the order of training examples. Defaults to 0.
            drop_remainder: Whether to leave out a last batch that is not full. Defaults to `False`.

        Returns:
            `tf.data.Dataset` of `({column: value}, {task: label})`: float32 or string columns `[batch]`;
            int64 labels of classes, -1 where missing, and float32 labels of numbers, NaN where missing, each
            `[batch]`, or `[batch, n]` with `n > 1` values.

        Raises:
            ValueError: If there is no such split, it has no rows, or the batch size is below 1.
        """
        return table.batches(self._parts, split, batch_size, seed, drop_remainder)

    def inputs(self):
        """Return fresh inputs, one of shape `[batch, 1]` per column of features: float32 or string."""
        return tabular_inputs(self._first_row)

    def encoder(self):
        """Return stages that suit the columns, adapted on training examples: an embedding, two dense ones.

        Any stages that take the columns may be in its place, for instance another
        `mz.encoders.tabular(data.load("train", 4096), 128)`.
        """
        return tabular(self._parts["train"]["inputs"], 64, 32)


def _check(path, tasks, classes, ignore, split_column, split_seed):
    table.check_arguments(tasks, classes, split_column, split_seed)
    arguments.path("path", path)
    arguments.texts("ignore", ignore)


def _feature_columns(rows, tasks, ignore, split_column):
    """Return a dict from names that Keras takes to the columns that are features."""
    rows.check_columns(ignore)
    others = {*ignore, split_column, *(column for task in tasks for column in table.label_columns(task))}
    columns = {}
    for column in rows.columns:
        if column not in others:
            columns[_free_name(re.sub(r"\W", "_", column, flags=re.ASCII), columns)] = column
    if not columns:
        raise ValueError(
            f"'{rows.path}' must have at least one column of features beside {sorted(others - {None})}. "
            f"Received columns: {list(rows.columns)}"
        )
    return columns


def _free_name(name, taken):
    """Return the name, or the first of `name_2`, `name_3` and so on that is free."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
