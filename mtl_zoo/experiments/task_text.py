"""A task as text, `name:kind` or `name:kind:key=value,key=value`, and what a table tells of it."""

import dataclasses
import functools
import inspect
import re

from mtl_zoo.datasets import label_words
from mtl_zoo.experiments import argument_text
from mtl_zoo.task import Task

OWN = ("classes", "column")  # arguments that are not the constructor's
ON_MAPS = ("segmentation", "dense_regression", "tagging")  # kinds whose labels are in no column
SIZES = ("n", "units")  # columns of labels
CHANNELS = ("num_classes", "num_tags", "channels")  # other sizes of an output
ORDERED = ("ordinal",)  # kinds of which words tell no order


@dataclasses.dataclass(frozen=True)
class TaskText:
    """One task as a user wrote it.

    Args:
        name: Name of the task.
        kind: Name of the constructor of `Task`.
        arguments: Dictionary of its arguments; also `classes`, the words of its classes in their order, and
            `column`, the name of the column of its labels if that is another.

    Example:

    >>> task = TaskText.parse("job:classification:classes=[nurse, pilot]").task()
    >>> task.name, task.output_shape
    ('job', (2,))
    """

    name: str
    kind: str
    arguments: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, text):
        """Read what a user wrote.

        Raises:
            ValueError: If it is not of the form, or there is no such kind or argument.
        """
        if not isinstance(text, str) or ":" not in text:
            raise ValueError(f"A task must be name:kind, such as bought:binary. Received: {text!r}")
        name, kind, arguments = (*text.split(":", 2), "")[:3]
        if kind not in kinds():
            raise ValueError(f"The kind of a task must be one of {', '.join(kinds())}. Received: {text!r}")
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            free = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "label"
            raise ValueError(
                f"The name of a task must be letters, digits and '_'; the column may have another: "
                f"--task={free}:{kind}:column={name!r}. Received: {text!r}"
            )
        arguments = argument_text.parse(arguments)
        valid = [*_parameters(kind), *OWN]
        if not set(arguments) <= set(valid):
            raise ValueError(f"A task of kind {kind} takes {', '.join(valid)}. Received: {text!r}")
        if isinstance(arguments.get("classes"), str):  # without quotes
            words = arguments["classes"].strip("[]()").split(",")
            arguments["classes"] = [word.strip() for word in words]
        return cls(name, kind, arguments)

    def __str__(self):
        given = f":{argument_text.write(self.arguments)}" if self.arguments else ""
        return f"{self.name}:{self.kind}{given}"

    @property
    def column(self):
        """Name of the column of the labels, or of the first part of the names of several."""
        return self.arguments.get("column", self.name)

    @property
    def classes(self):
        """List of the words of its classes, or `None`."""
        return self.arguments.get("classes")

    def task(self):
        """Return the `Task`.

        Raises:
            ValueError: If an argument is missing or not right.
        """
        given = {key: value for key, value in self.arguments.items() if key not in OWN}
        if self.classes is not None and "num_classes" in _parameters(self.kind):
            given.setdefault("num_classes", len(self.classes))
        try:
            task = getattr(Task, self.kind)(self.name, **given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Task '{self}': {error}") from error
        return dataclasses.replace(task, label_name=self.column)

    def settled(self, table):
        """Return the same task with all that its column tells: numbers of values, classes and their words.

        Args:
            table: `mtl_zoo.datasets.table.Table`.

        Raises:
            ValueError: If the labels of such a task are in no column, the column is missing, or its cells are
                no classes.
        """
        if self.kind in ON_MAPS:
            raise ValueError(f"The labels of a task must be in columns of a table. Received: '{self}'")
        found = {}
        if self.classes is None and "num_classes" not in self.arguments:
            found = self._find_classes(table)
        for size in set(SIZES) & set(_parameters(self.kind)) - set(self.arguments):
            found[size] = _count_columns(table, self.column)
        return dataclasses.replace(self, arguments=self.arguments | found)

    def sized(self, size):
        """Return the same task with a size, where its kind has one that is not given."""
        has_none = self.classes is None and not set(self.arguments) & {*SIZES, *CHANNELS}
        found = {name: size for name in (*SIZES, *CHANNELS) if name in _parameters(self.kind) and has_none}
        return dataclasses.replace(self, arguments=self.arguments | found)

    def _find_classes(self, table):
        if self.kind == "binary":
            words = label_words.find_words_of_two(table, self.column)
            return {} if words is None else {"classes": words}
        if "num_classes" not in _parameters(self.kind):
            return {}
        count, words = label_words.find_classes(table, self.column)
        if words and self.kind in ORDERED and not all(map(_is_integer, words)):
            raise ValueError(
                f"The order of the words in column '{self.column}' must be given: "
                f"--task={self.name}:{self.kind}:classes={words!r}, from the lowest to the highest."
            )
        return {"num_classes": count} if words is None else {"classes": words}


@functools.cache
def kinds():
    """Return the names of the constructors of `Task`, which take a name first."""
    found = [name for name, member in vars(Task).items() if isinstance(member, classmethod)]
    return tuple(name for name in found if "name" in inspect.signature(getattr(Task, name)).parameters)


def _parameters(kind):
    """Return the names of what a constructor takes beside the name of the task."""
    return [name for name in inspect.signature(getattr(Task, kind)).parameters if name != "name"]


def _count_columns(table, column):
    """Return the number of columns `column_0`, `column_1` and so on, or 1 if there is the column itself."""
    if column in table.columns:
        return 1
    count = 0
    while f"{column}_{count}" in table.columns:
        count += 1
    if not count:
        table.check_columns([column])
    return count


def _is_integer(word):
    return word.lstrip("+-").isdecimal()
