"""Files of rows: CSV, Parquet and JSON lines, each row as the text of its cells."""

import csv
import datetime
import decimal
import glob
import io
import json
import os
import pathlib

SCALARS = (str, bool, int, float, decimal.Decimal, datetime.date, datetime.time)


def find_files(path):
    """Return the paths of the files that a path or a pattern with `*`, `?` or `[...]` stands for, sorted.

    Raises:
        FileNotFoundError: If a pattern matches no file.
    """
    text = os.fspath(path)
    if os.path.exists(text) or not any(mark in text for mark in "*?["):
        return [text]
    found = sorted(glob.glob(text))
    if not found:
        raise FileNotFoundError(f"'{text}' must match at least one file. Received: a pattern without a match")
    return found


def records(path):
    r"""Yield the names of the columns, then the rows that are not empty, with the lines where they are.

    A file that ends with `.parquet` is Parquet, with `.jsonl` or `.ndjson` JSON lines: an object of names and
    values per line, where what is missing is an empty cell. All others are CSV in UTF-8. Spaces around a cell
    do not count.

    Args:
        path: File.

    Yields:
        Tuples of a range of line numbers, from 1 (of a Parquet file, of rows), and a list of strings; or, in
        place of the list, a string that says what is wrong with the row.

    Raises:
        OSError: If the file cannot be read.
        ImportError: If it is Parquet and `pyarrow` is not installed.
        ValueError: If it is not UTF-8, or not Parquet.

    Example:

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.jsonl")
    ...     _ = path.write_text('{"name": "Jane", "age": 40}\n{"name": "Jim"}\nJoe\n')
    ...     for lines, cells in records(path):
    ...         print(lines, cells)
    range(0, 0) ['name', 'age']
    range(1, 2) ['Jane', '40']
    range(2, 3) ['Jim', '']
    range(3, 4) the row must be a JSON object (Expecting value: line 1 column 1 (char 0))
    """
    return READERS.get(pathlib.Path(path).suffix.lower(), _csv)(path)


def _csv(path):
    """Yield the records of a CSV file."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), skipinitialspace=True, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield range(first, reader.line_num + 1), f"the row must be valid CSV ({error})"
            continue
        if cells is None:
            return
        if len(cells) > 1 or any(cells):
            yield range(first, reader.line_num + 1), [cell.strip() for cell in cells]


def _json_lines(path):
    """Yield the records of a file with a JSON object per line; the columns are the names in all of them."""
    lines = enumerate(_text(path).split("\n"), start=1)
    rows = [(number, _object(line)) for number, line in lines if line.strip()]
    names = list(dict.fromkeys(name for _, row in rows if isinstance(row, dict) for name in row))
    if names:
        yield range(0), names
    for number, row in rows:
        yield range(number, number + 1), row if isinstance(row, str) else _cells(names, map(row.get, names))


def _parquet(path):
    """Yield the records of a Parquet file."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError(
            f"'{path}' is Parquet, which needs the extra `tables`: pip install 'mtl-zoo[tables]'."
        ) from error
    file = _readable(path)
    try:
        table = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        raise ValueError(f"'{path}' must be a Parquet file. Received: {error}") from None
    yield range(0), table.column_names
    for number, row in enumerate(zip(*(x.to_pylist() for x in table.columns), strict=True), start=1):
        yield range(number, number + 1), _cells(table.column_names, row)


READERS = {".parquet": _parquet, ".jsonl": _json_lines, ".ndjson": _json_lines}


def _object(line):
    """Return the dictionary in a line, or what is wrong with it."""
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except (RecursionError, ValueError) as error:
        return f"the row must be a JSON object ({error})"
    return row if isinstance(row, dict) else f"the row must be a JSON object. Received: {line.strip()[:30]}"


def _once(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _cells(names, values):
    """Return the text of one row's values, or what is wrong with one of them."""
    cells = []
    for name, value in zip(names, values, strict=True):
        if not (value is None or isinstance(value, SCALARS)):
            return f"column '{name}' must hold one number or text. Received: {str(value)[:30]}"
        cells.append("" if value is None else str(value).strip())
    return cells


def _text(path):
    try:
        return _readable(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise ValueError(
            f"'{path}', row {row}: the text must be UTF-8. Received: byte 0x{byte:02x}"
        ) from None


def _readable(path):
    """Return a path that can be opened."""
    path = pathlib.Path(path)
    try:
        path.open("rb").close()
    except OSError as error:
        raise type(error)(f"'{path}' must be a file that can be read ({error.strerror}).") from None
    return path
