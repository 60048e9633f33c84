import datetime
import decimal
import sys

import pytest

from mtl_zoo.datasets.records import find_files, records
from mtl_zoo.datasets.table import Place, Table


def write(path, text):
    path.write_text(text)
    return path


def test_json_lines_have_the_columns_of_all_objects_and_exact_integers(tmp_path):
    path = write(
        tmp_path / "t.jsonl",
        '{"id": 9007199254740993, "price": 2.50, "ok": true}\n\n{"job": " nurse ", "id": null}\n',
    )
    assert list(records(path)) == [
        (range(0), ["id", "price", "ok", "job"]),
        (range(1, 2), ["9007199254740993", "2.5", "True", ""]),
        (range(3, 4), ["", "", "", "nurse"]),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1]", "the row must be a JSON object. Received: [1]"),
        ('{"a": 1', "the row must be a JSON object (Expecting"),
        ('{"a": 1, "a": 2}', "a name is there twice"),
        ('{"a": [1, 2]}', "column 'a' must hold one number or text. Received: [1, 2]"),
        ("[" * 100_000, "the row must be a JSON object"),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, message):
    table = Table(write(tmp_path / "t.ndjson", f'{{"a": 1}}\n{line}\n{{"a": 3}}\n'))
    assert message in table.bad[2]
    assert table.columns == {"a": ("1", "3")}
    assert table.rows == [1, 3]


def test_parquet_keeps_integers_beside_missing_cells(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = {
        "id": [2**53 + 1, None],
        "job": ["nurse ", None],
        "price": [0.1, float("nan")],
        "day": [datetime.date(2024, 1, 31), None],
        "cents": [decimal.Decimal("1.20"), None],
    }
    parquet.write_table(pyarrow.table(values), tmp_path / "t.parquet")
    assert list(records(tmp_path / "t.parquet")) == [
        (range(0), ["id", "job", "price", "day", "cents"]),
        (range(1, 2), ["9007199254740993", "nurse", "0.1", "2024-01-31", "1.20"]),
        (range(2, 3), ["", "", "nan", "", ""]),
    ]


def test_parquet_that_is_none_or_cannot_be_read(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"t\.parquet' must be a Parquet file. Received: "):
        list(records(write(tmp_path / "t.parquet", "a,b\n1,2\n")))
    with pytest.raises(FileNotFoundError, match=r"no\.parquet' must be a file that can be read"):
        list(records(tmp_path / "no.parquet"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"t\.parquet' is Parquet, which needs the extra `tables`: pip"):
        list(records(tmp_path / "t.parquet"))


def test_a_pattern_stands_for_files_in_their_order(tmp_path):
    for name in ("b.csv", "a.csv", "c.txt"):
        write(tmp_path / name, "x\n")
    assert find_files(tmp_path / "*.csv") == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert find_files(tmp_path / "none.csv") == [str(tmp_path / "none.csv")]
    with pytest.raises(FileNotFoundError, match=r"\*\.json' must match at least one file"):
        find_files(tmp_path / "*.json")
    strange = write(tmp_path / "a[1].csv", "x\n")
    assert find_files(strange) == [str(strange)]


def test_several_files_are_one_table_of_the_same_columns(tmp_path):
    write(tmp_path / "1.csv", "a,b\n1,2\n3\n")
    write(tmp_path / "2.csv", "b,a\n5,4\n")
    write(tmp_path / "10.jsonl", '{"b": "8", "a": 7}\n')
    table = Table(tmp_path / "[12]*.*")
    assert table.columns == {"a": ("1", "7", "4"), "b": ("2", "8", "5")}
    assert list(map(str, table.rows)) == [
        f"{line} of '{tmp_path / name}'" for line, name in ((2, "1.csv"), (1, "10.jsonl"), (2, "2.csv"))
    ]
    bad = {Place(0, str(tmp_path / "1.csv"), 3): "there must be 2 cells. Received: 1"}
    assert table.bad == bad
    assert table.good().tolist() == [0, 1, 2]
    write(tmp_path / "2.csv", "b,c\n5,4\n")
    with pytest.raises(ValueError, match=r"2\.csv' must have the columns of '.*1\.csv', \['a', 'b'\]"):
        Table(tmp_path / "[12]*.csv")


def test_other_separators_are_told(tmp_path):
    table = Table(write(tmp_path / "t.csv", "a;b\n1;2\n"))
    with pytest.raises(ValueError, match=r"Received columns: \['a;b'\], which commas must separate"):
        table.check_columns(["a"])
