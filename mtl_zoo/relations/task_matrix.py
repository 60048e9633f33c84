"""One number for every ordered pair of tasks."""

import dataclasses

import numpy as np

from mtl_zoo import arguments, files, plots
from mtl_zoo.relations.linkage import average_linkage

KINDS = {
    "quantity": files.TEXT,
    "tasks": files.Kind("a list of strings", lambda x: files.is_list(x, str)),
    "values": files.Kind("a list of rows", lambda x: files.is_list(x, list)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class TaskMatrix:
    """One number for every ordered pair of tasks; `np.asarray` makes an array of it.

    Args:
        names: Names of the T tasks.
        values: Array `[T, T]`: row i, column j is what task i does to task j. NaN where it is not known.
        quantity: What the numbers are, in a word or two. Defaults to `"affinity"`.

    Raises:
        ValueError: If names are not different strings, or values are not as many numbers.

    Example:

    >>> matrix = TaskMatrix(("click", "price"), [[0.2, 0.1], [-0.1, 0.3]])
    >>> float(matrix.of("click", "price")), float(np.asarray(matrix)[1, 0])
    (0.1, -0.1)
    """

    names: tuple
    values: np.ndarray
    quantity: str = "affinity"

    def __post_init__(self):
        object.__setattr__(self, "names", different(self.names))
        object.__setattr__(self, "values", square("values", self.values, len(self.names)))
        arguments.text("quantity", self.quantity)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def of(self, one, other):
        """Return the number of task `one` onto task `other`, by their names."""
        return self.values[self.names.index(one), self.names.index(other)]

    def rows(self):
        """Return a table of strings, with the names in its first row and column."""
        table = zip(self.names, self.values, strict=True)
        return [[self.quantity, *self.names], *([name, *map("{:.3g}".format, row)] for name, row in table)]

    def write(self, path):
        """Write the matrix to a JSON file."""
        values = self.values.tolist()
        files.write_json(path, {"quantity": self.quantity, "tasks": list(self.names), "values": values})

    @classmethod
    def read(cls, path):
        """Return the matrix that `write` wrote.

        Raises:
            FileNotFoundError: If there is no file.
            ValueError: If it does not hold a matrix.
        """
        found = files.read_json(path, KINDS)
        try:
            values = [[np.nan if x is None else x for x in row] for row in found["values"]]
            return cls(tuple(found["tasks"]), values, found["quantity"])
        except ValueError as error:
            raise ValueError(f"'{path}' must hold a matrix of tasks. Received: {error}") from error

    def plot(self, title=None):
        """Return the matrix as a heat map, a `matplotlib.figure.Figure`.

        Beside it stands a dendrogram: which tasks join first, by the mean of both directions (average
        linkage); without one if a pair is not known.
        """
        merges = average_linkage(self.values) if self.is_known() else None
        return plots.task_matrix(self.values, self.names, merges, title or self.quantity)

    def is_known(self):
        """Return whether there is a number for every pair of different tasks."""
        return bool(np.isfinite(self.values[~np.eye(len(self.names), dtype=bool)]).all())


def different(names):
    """Return names of tasks, which must be different ones, as a tuple."""
    found = arguments.texts("names", names)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"`names` must be different names of tasks. Received: names={names!r}")
    return found


def square(name, values, number=None):
    """Return a matrix of numbers, NaN among them, as an array `[T, T]` of float64.

    Args:
        name: Name of the argument.
        values: What came.
        number: T. Defaults to `None`: any from 1 on.

    Raises:
        ValueError: If it is something else.
    """
    try:
        found = np.array(values)
    except ValueError:  # rows of several lengths
        found = np.array(None)
    size = number or max(found.shape, default=0)
    if found.dtype.kind not in "iuf" or found.shape != (size, size) or not size:
        wanted = f"{number} rows of {number} numbers" if number else "a square matrix of numbers"
        raise ValueError(f"`{name}` must be {wanted}. Received: {found.dtype} of the shape {found.shape}")
    return found.astype("float64")
