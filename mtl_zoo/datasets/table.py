"""Tables of a user's own: the cells of files by column, and the rows that are not right."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from absl import logging

from mtl_zoo import arguments
from mtl_zoo.datasets.cells import MARKERS
from mtl_zoo.datasets.records import find_files, records


class Place(NamedTuple):
    """Where a row of one of several files is; they sort in the order of the files.

    Example:

    >>> f"row {Place(0, 'may.csv', 7)}"
    "row 7 of 'may.csv'"
    """

    index: int
    file: str
    line: int

    def __str__(self):
        return f"{self.line} of '{self.file}'"


class Table:
    r"""Cells of a CSV file by column, and the rows that are not right; also of Parquet and JSON lines.

    The first row names the columns. Spaces around a cell and empty lines do not count; a cell in double
    quotes may hold commas, quotes (doubled) and line ends.

    Args:
        path: Path of a CSV file in UTF-8, with or without a byte order mark, or of a file that
            `mtl_zoo.datasets.records.records` reads by its ending; with `*`, `?` or `[...]` in its name,
            several of the same columns, one after the other.
        missing: What a cell holds where a value is missing, beside nothing at all: strings, as they are in
            the file, or a dictionary from columns to such sequences, in which other columns have the usual
            ones. Defaults to `None`: the usual ones, `mtl_zoo.datasets.cells.MARKERS`.

    Attributes:
        columns: Dictionary from names to tuples of cells, of the rows with the right number of cells.
        rows: Number of each of these rows: that of the line in the file where it begins, from 1; of several
            files a `Place`.
        bad: Dictionary from the number of each row that is not right to what is wrong with it.

    Raises:
        ValueError: If the file is empty or not UTF-8, two columns have one name or one has none, several
            files have not the same columns, or `missing` is neither or names a column that is not there.
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

    def __init__(self, path, missing=None):
        self.path = arguments.path("path", path)
        self.rows, self.bad = [], {}
        header, cells = self._read(find_files(path))
        self.columns = dict(
            zip(header, zip(*cells, strict=True) if cells else [()] * len(header), strict=True)
        )
        self._markers = self._read_markers(missing)

    def check_columns(self, names):
        """Raise a `ValueError` unless the table has these columns."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            found = list(self.columns)
            is_one = len(found) == 1 and any(mark in found[0] for mark in ";\t|")
            raise ValueError(
                f"'{self.path}' must have the columns {missing}. Received columns: {found}"
                + (", which commas must separate" if is_one else "")
            )

    def markers(self, name):
        """Return the set of what cells of a column hold where a value is missing."""
        return self._markers.get(name, self._markers[None])

    def parse(self, name, function, filler, markers=()):
        """Apply a function to the cells of a column; reject the rows where it raises a `ValueError`.

        Args:
            name: Name of the column.
            function: Function from a cell to a value; its error says what must hold for the column.
            filler: Value for a row that is rejected, and for a cell that is among `markers`.
            markers: Collection of cells that the function does not get. Defaults to none.

        Returns:
            List of values.
        """
        values = []
        for index, cell in enumerate(self.columns[name]):
            try:
                values.append(filler if cell in markers else function(cell))
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

    def _read_markers(self, missing):
        """Return a dictionary from columns to sets of markers; those of all others are at `None`."""
        given = missing if isinstance(missing, dict) else {None: MARKERS if missing is None else missing}
        for name, markers in given.items():
            if isinstance(markers, (str, bytes)) or not isinstance(markers, Collection):
                place = "" if name is None else f"['{name}']"
                raise ValueError(f"`missing{place}` must be a list of strings. Received: {markers!r}")
        self.check_columns(name for name in given if name is not None)
        return {
            name: {"", *(str(marker).strip() for marker in markers)}
            for name, markers in ({None: MARKERS} | given).items()
        }

    def _read(self, files):
        """Return the names of the columns, and the cells of the right rows of all files in that order."""
        names, cells = None, []
        for index, file in enumerate(files):
            found = records(file)
            header = _header(file, found)
            names = header if names is None else names
            if set(header) != set(names):
                raise ValueError(
                    f"'{file}' must have the columns of '{files[0]}', {names}. Received columns: {header}"
                )
            order = [header.index(name) for name in names]
            for line, row in self._right_rows(found, len(header), file if len(files) > 1 else None, index):
                self.rows.append(line)
                cells.append(row if header == names else [row[position] for position in order])
        return names, cells

    def _right_rows(self, found, width, file, index):
        """Yield the numbers and cells of the rows of `width` cells; all lines of another row are bad."""
        for lines, cells in found:
            numbers = lines if file is None else [Place(index, file, line) for line in lines]
            if isinstance(cells, str):
                self.bad |= dict.fromkeys(numbers, cells)
            elif len(cells) != width:
                self.bad |= dict.fromkeys(numbers, f"there must be {width} cells. Received: {len(cells)}")
            else:
                yield numbers[0], cells


def _header(path, found):
    """Return the names of the columns, each its own."""
    lines, names = next(found, (None, []))
    if lines is None:
        raise ValueError(f"'{path}' must begin with a row of column names. Received: an empty file")
    if isinstance(names, str):
        raise ValueError(f"'{path}', row {lines[0]}: {names}.")
    if len(set(names)) < len(names) or "" in names:
        raise ValueError(f"'{path}': every column must have a name of its own. Received: {names}")
    return names
