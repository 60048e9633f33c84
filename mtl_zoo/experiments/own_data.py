"""Files of a user's own among the datasets that a recipe chooses from."""

import functools
import hashlib
import inspect

import keras

from mtl_zoo import arguments, files
from mtl_zoo.datasets import CSVFile, ImageFolder
from mtl_zoo.datasets.csv_file import input_names
from mtl_zoo.datasets.records import find_files
from mtl_zoo.datasets.table import Table
from mtl_zoo.experiments import argument_text
from mtl_zoo.experiments.task_text import TaskText


def csv_file(
    path,
    tasks,
    ignore=(),
    split_column=None,
    split_seed=0,
    categories=(),
    numbers=(),
    missing=None,
    columns=None,
    sha256=None,
):
    """A table of your own, CSV, Parquet or JSON lines; `--csv` and `--task` choose it.

    Args:
        path: As for `mtl_zoo.datasets.CSVFile`.
        tasks: Sequence of texts as `TaskText` reads them, such as `"bought:binary"`.
        ignore: As for `CSVFile`.
        split_column: Likewise.
        split_seed: Likewise.
        categories: Likewise.
        numbers: Likewise.
        missing: Likewise.
        columns: Dictionary from columns of features to what they were taken for, once it is known.
        sha256: SHA-256 of the files, once they were read.

    Returns:
        `OwnData`.
    """
    options = {
        "ignore": ignore,
        "split_column": split_column,
        "split_seed": split_seed,
        "categories": categories,
        "numbers": numbers,
        "missing": missing,
    }
    read = functools.partial(CSVFile, path, **options)
    return OwnData(path, tasks, missing, read, {"kind": "csv_file", "columns": columns}, sha256)


def image_folder(
    folder,
    labels,
    tasks,
    file_column="file",
    size=(64, 64),
    split_column=None,
    split_seed=0,
    missing=None,
    sha256=None,
):
    """Images of your own and a table of labels; `--images`, `--labels` and `--task` choose it.

    Args:
        folder: As for `mtl_zoo.datasets.ImageFolder`.
        labels: Likewise.
        tasks: As for `csv_file`.
        file_column: As for `ImageFolder`.
        size: Likewise.
        split_column: Likewise.
        split_seed: Likewise.
        missing: Likewise.
        sha256: SHA-256 of the table of labels, once it was read.

    Returns:
        `OwnData`.
    """
    size = arguments.size("size", size)
    options = {"file_column": file_column, "size": size, "split_column": split_column}
    read = functools.partial(ImageFolder, folder, labels, split_seed=split_seed, missing=missing, **options)
    about = {"kind": "image_folder", "folder": folder, "file_column": file_column, "size": list(size)}
    return OwnData(labels, tasks, missing, read, about, sha256)


class OwnData:
    """Files of a user's own, used like a dataset module, read when that is needed.

    Args:
        path: Path or pattern of the table.
        tasks: Sequence of texts as `TaskText` reads them.
        missing: As for `Table`.
        read: Function from tasks and, as `classes`, their words to a `CSVFile` or an `ImageFolder`.
        about: Dictionary of what it takes to answer new rows: `kind` and how their inputs are read.
        sha256: SHA-256 of the table's files. Defaults to `None`: the files are read now, and the tasks get
            what their columns tell.

    Attributes:
        TASKS: Tuple of `Task`.

    Raises:
        ValueError: If the tasks do not suit the table; later, if the files are not those of `sha256`.
        OSError: If they cannot be read.
    """

    def __init__(self, path, tasks, missing, read, about, sha256=None):
        self.path = arguments.path("path", path)
        self.texts = [TaskText.parse(text) for text in arguments.texts("tasks", tasks)]
        self.sha256, self._read, self._about, self._missing = sha256, read, about, missing
        if sha256 is None:
            self.sha256 = _digest(path)
            table = Table(path, missing)
            self.texts = [text.settled(table) for text in self.texts]
        self.TASKS = tuple(text.task() for text in self.texts)

    @functools.cached_property
    def dataset(self):
        """The `CSVFile` or `ImageFolder`."""
        if _digest(self.path) != self.sha256:
            raise ValueError(
                f"'{self.path}' must be what training read, or rows of the test split would be others. Bring "
                "back a copy of it, or train again. Received: a file with another SHA-256"
            )
        return self._read(self.TASKS, classes=self.classes)

    @property
    def classes(self):
        """Dictionary from the label names of tasks to the words of their classes, where they have any."""
        return {text.column: text.classes for text in self.texts if text.classes is not None}

    @property
    def class_names(self):
        """The same by the names of the tasks."""
        return {text.name: list(map(str, text.classes)) for text in self.texts if text.classes is not None}

    @property
    def about(self):
        """Dictionary of what it takes to answer new rows, as JSON has it: see `datasets.new_rows`."""
        table = dict(self._about)
        if "columns" in table:
            table["columns"] = table["columns"] or self.dataset.kinds
        if isinstance(self._missing, dict):  # other columns need not be there in new tables
            read = table.get("columns") or [table["file_column"]]
            return table | {"missing": {name: list(x) for name, x in self._missing.items() if name in read}}
        return table | {"missing": self._missing and list(self._missing)}

    def settled(self):
        """Return the arguments that became known by reading the files."""
        known = {"tasks": list(map(str, self.texts)), "sha256": self.sha256}
        return known | ({"columns": self.about["columns"]} if "columns" in self._about else {})

    def load(self, split, batch_size, data_dir=None, seed=0):
        """Return a split in batches, as `CSVFile.load` does."""
        del data_dir
        return self.dataset.load(split, batch_size, seed)

    def inputs(self):
        """Return fresh inputs; the files are not read for them."""
        if self._about["kind"] == "image_folder":
            return keras.Input((*self._about["size"], 3), name="image")
        kinds = self.about["columns"]
        return {
            name: keras.Input((1,), dtype=kinds[column].split()[1], name=name)
            for name, column in input_names(kinds).items()
        }

    def encoder(self):
        """Return stages that suit the inputs."""
        return self.dataset.encoder()


OWN = (csv_file, image_folder)


def data_of(choice):
    """Return what is used like a dataset module: the module that was chosen, or an `OwnData`."""
    return choice.target if inspect.ismodule(choice.target) else choice.target(**choice.arguments)


def settled(choice):
    """Return the text of a choice; of files of a user's own with all that reading them tells."""
    if choice.target not in OWN or choice.arguments.get("sha256"):
        return choice.text
    given = choice.arguments | data_of(choice).settled()
    return f"{choice.target.__name__}:{argument_text.write(given)}"


def _digest(path):
    """Return one SHA-256 of all files of a path or a pattern."""
    for file in find_files(path):
        files.check_file(file)
    return hashlib.sha256("".join(map(files.sha256, find_files(path))).encode()).hexdigest()
