"""A CSV file of a user's own, with columns of features and columns of labels."""

import re

from mtl_zoo import arguments
from mtl_zoo.datasets import features
from mtl_zoo.datasets.labelled_table import LabelledTable
from mtl_zoo.datasets.labels import label_columns
from mtl_zoo.datasets.table import Table
from mtl_zoo.encoders.tabular import DTYPES, tabular, tabular_inputs


class CSVFile(LabelledTable):
    r"""A table of features and labels, used like a dataset module: `TASKS`, `load`, `inputs`, `encoder`.

    The first row of the file names its columns. The labels of a task are in the column with its name; with
    `n > 1` values per example, in `name_0` to `name_{n-1}`. All other columns are features: numbers where
    every value is a number, or else categories; `categories`, `numbers` and `ignore` overrule that. The first
    `load` prints to stderr, once, what each column was taken for; a warning names those that are nearly
    numeric.

    A value is missing where the cell is empty or holds one of the usual markers, such as `NA`. The default
    encoder takes a missing number for the mean, and a missing category for one more category. Integers that
    float32 would round stay integers, so that no two ids are one. A row that is not right is skipped, counted
    and reported by one warning.

    Args:
        path: Path of a CSV file in UTF-8: commas between the cells, and double quotes around a cell that
            holds commas, quotes or line ends; of a Parquet file (`.parquet`, which needs `pyarrow`), or of
            JSON lines (`.jsonl`). A pattern with `*` stands for several files of the same columns.
        tasks: Sequence of `Task` with one class or a fixed number of values per example.
        classes: Optional dictionary from the names of tasks to the words in the cells that stand for classes
            0, 1 and so on. Defaults to `None`: labels of classes are integers from 0.
        ignore: Names of columns that are neither labels nor features. Defaults to none.
        split_column: Name of the column that says `train`, `validation` or `test`. Defaults to `None`: 70% of
            the rows are for training and 15% each for validation and test.
        split_seed: Seed of the permutation of the rows before they are split so. Defaults to 0.
        categories: Names of columns of features that are categories, although their values are numbers, such
            as ids. Defaults to none.
        numbers: Names of columns of features that are numbers; a row with another value there is skipped.
            Defaults to none.
        missing: Strings that mark a missing value in any column, or a dictionary from names of columns to
            such strings. Defaults to `None`: those of pandas (`NA`, `NaN`, `null`, `None` ...) and `?`.

    Attributes:
        TASKS: Tuple of the tasks.
        SIZES: Dictionary from the names of splits to the numbers of their examples.
        bad_rows: List of one string per skipped row: file, row and reason. The number of a row is that of the
            line where it begins; the names of the columns are in row 1.
        kinds: Dictionary from columns of features to what they were taken for, such as `"numbers float32"`,
            `"categories string"` or `"categories int64"`.

    Raises:
        ValueError: If the file is empty or not UTF-8, a column is missing or has no name of its own, no
            column is left for features, tasks or classes do not fit a table, most labels are words and their
            task has no classes, `categories` and `numbers` name no feature or one twice, more than half of
            the rows are bad, or no row is left.
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

    def __init__(
        self,
        path,
        tasks,
        classes=None,
        ignore=(),
        split_column=None,
        split_seed=0,
        categories=(),
        numbers=(),
        missing=None,
    ):
        def read_inputs(table):
            columns = _feature_columns(table, self.TASKS, ignore, split_column)
            kinds = features.read_kinds(table, list(columns.values()), categories, numbers)
            arrays = {
                name: features.read_feature(table, column, kinds[column]) for name, column in columns.items()
            }
            self._first_row = {name: array[:1] for name, array in arrays.items()}
            self._numbers = [name for name, column in columns.items() if kinds[column] == features.NUMBERS]
            self.kinds = {
                column: f"{kinds[column]} {DTYPES[arrays[name].dtype.kind]}"
                for name, column in columns.items()
            }
            notes = dict.fromkeys(ignore, "ignored") | _describe(table, columns, arrays, kinds)
            return {name: array[:, None] for name, array in arrays.items()}, notes

        arguments.texts("ignore", ignore)
        super().__init__(Table(path, missing), tasks, classes, split_column, split_seed, read_inputs)

    def inputs(self):
        """Return fresh inputs, one of shape `[batch, 1]` per column of features: float32, int64 or string."""
        return tabular_inputs(self._first_row)

    def encoder(self):
        """Return stages that suit the columns, adapted on training examples: an embedding, two dense ones.

        Any stages that take the columns may be in its place, for instance another
        `mz.encoders.tabular(data.load("train", 4096), 128)`, whose `numbers` are the columns of wide integers
        that are no categories.
        """
        return tabular(self._parts["train"]["inputs"], 64, 32, numbers=self._numbers)


def _feature_columns(table, tasks, ignore, split_column):
    """Return a dict from names that Keras takes to the columns that are features."""
    table.check_columns(ignore)
    others = {*ignore, split_column, *(column for task in tasks for column in label_columns(task))}
    columns = input_names(column for column in table.columns if column not in others)
    if not columns:
        raise ValueError(
            f"'{table.path}' must have at least one column of features beside {sorted(others - {None})}. "
            f"Received columns: {list(table.columns)}"
        )
    return columns


def input_names(columns):
    """Return a dict from names that Keras takes to columns.

    Example:

    >>> input_names(["age", "hours per week", "hours-per-week"])
    {'age': 'age', 'hours_per_week': 'hours per week', 'hours_per_week_2': 'hours-per-week'}
    """
    names = {}
    for column in columns:
        names[_free_name(re.sub(r"\W", "_", column, flags=re.ASCII), names)] = column
    return names


def _free_name(name, taken):
    """Return the name, or the first of `name_2`, `name_3` and so on that is free."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _describe(table, columns, arrays, kinds):
    """Return a dict from columns of features to what was found in their good rows."""
    good, notes = table.good(), {}
    for name, column in columns.items():
        given = "" if name == column else f"input '{name}', "
        notes[column] = given + features.describe(arrays[name][good], kinds[column])
    return notes
