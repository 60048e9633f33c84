"""Tables of a user's own: the cells of a CSV file, and the rows that are not right."""

import csv
import io
import pathlib
from collections.abc import Collection

import numpy as np
from absl import logging

from mtl_zoo import arguments
from mtl_zoo.datasets.cells import MARKERS


class Table:
    r"""Cells of a CSV file by column, and the rows that are not right.

    The first row names the columns. Spaces around a cell and empty lines do not count; a cell in double
    quotes may hold commas, quotes (doubled) and line ends.

    Args:
        path: Path of a CSV file in UTF-8, with or without a byte order mark.
        missing: What a cell holds where a value is missing, beside nothing at all: strings, as they are in
            the file, or a dictionary from columns to such sequences, in which other columns have the usual
            ones. Defaults to `None`: the usual ones, `mtl_zoo.datasets.cells.MARKERS`.

    Attributes:
        columns: Dictionary from names to tuples of cells, of the rows with the right number of cells.
        rows: Number of each of these rows: that of the line in the file where it begins, from 1.
        bad: Dictionary from the number of each row that is not right to what is wrong with it.

    Raises:
        ValueError: If the file is empty or not UTF-8, two columns have one name or one has none, or `missing`
            is neither or names a column that is not there.
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
        records = _records(path)
        header = self._header(records)
        cells = list(self._right_rows(records, len(header)))
        self.columns = dict(
            zip(header, zip(*cells, strict=True) if cells else [()] * len(header), strict=True)
        )
        self._markers = self._read_markers(missing)

    def check_columns(self, names):
        """Raise a `ValueError` unless the table has these columns."""
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise ValueError(
                f"'{self.path}' must have the columns {missing}. Received columns: {list(self.columns)}"
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
