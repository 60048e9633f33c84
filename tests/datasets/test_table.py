import math

import pytest

from mtl_zoo.datasets import table
from mtl_zoo.datasets.table import Table

NAN = math.nan


def write(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def read(tmp_path):
    return lambda content: Table(write(tmp_path, content))


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged."""
    found = []
    monkeypatch.setattr(table.logging, "warning", lambda text, *values: found.append(text % values))
    return found


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x y\n2,z\n",
        "a,b\r\n1,x y\r\n2,z\r\n",
        "a,b\r1,x y\r2,z",
        "\ufeffa,b\n1,x y\n2,z",
        '\ufeff"a","b"\r\n"1","x y"\r\n"2","z"',
        'a , b\n 1, "x y"\n2,\tz \n',
        "a,b\n1,x y\n2,z\n\n   \n",
    ],
)
def test_spellings_of_one_table(read, content):
    found = read(content)
    assert found.columns == {"a": ("1", "2"), "b": ("x y", "z")}
    assert found.rows == [2, 3]
    assert found.bad == {}


def test_cells_in_quotes_and_numbers_of_rows(read):
    found = read('a,"b,c"\n\n"say ""no""","1\n2"\ngrün,\n')
    assert found.columns == {"a": ('say "no"', "grün"), "b,c": ("1\n2", "")}
    assert found.rows == [3, 5]  # lines of the file: 2 is empty, the cell takes 3 and 4


def test_rows_with_another_number_of_cells_and_broken_quotes(read):
    found = read('a,b\n1\n1,2,3\n1,2\n"x"y,2\n3,4\n')
    assert found.columns == {"a": ("1", "3"), "b": ("2", "4")}
    assert found.rows == [4, 6]
    assert found.bad == {
        2: "there must be 2 cells. Received: 1",
        3: "there must be 2 cells. Received: 3",
        5: """the row must be valid CSV (',' expected after '"')""",
    }


def test_every_line_that_an_open_quote_swallows_is_bad(read):
    found = read('a,b\n1,2\n3,4\n5,6\n7,8\n"9,10\n11,12\n13,14\n')
    assert found.columns["a"] == ("1", "3", "5", "7")
    assert list(found.bad) == [6, 7, 8]
    found = read('a,b\n1,2\n3,4\n"5,6\n7",8,9\n10,11\n')  # closed by chance, with a cell too many
    assert found.columns["a"] == ("1", "3", "10")
    assert list(found.bad) == [4, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv' must begin with a row of column names. Received: an empty file"),
        ("\ufeff\n\n", "t.csv' must begin with a row of column names. Received: an empty file"),
        ("a,b,a\n1,2,3\n", r"t.csv': every column must have a name of its own. Received: \['a', 'b', 'a'\]"),
        ("a,b,\n1,2,\n", r"t.csv': every column must have a name of its own. Received: \['a', 'b', ''\]"),
        ('"a"b,c\n1,2\n', "t.csv', row 1: the row must be valid CSV"),
        ("a,b\n1,gr\u00fcn\n".encode("latin1"), "t.csv', row 2: the text must be UTF-8. Received: byte 0xfc"),
        ("a,b\n1,2\n".encode("utf-16"), "t.csv', row 1: the text must be UTF-8. Received: byte 0xff"),
    ],
)
def test_files_that_are_no_tables(read, content, message):
    with pytest.raises(ValueError, match=message):
        read(content)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.csv' must be a file that can be read \(No such file"):
        Table(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError, match=rf"'{tmp_path}' must be a file that can be read"):
        Table(tmp_path)


def test_parse_rejects_rows_and_the_first_reason_stays(read):
    found = read("a,b\n1,x\ny,2\nz,w\n")

    def number(cell):
        if not cell.isdigit():
            raise ValueError(f"must be digits. Received: {cell!r}")
        return int(cell)

    assert found.parse("a", number, -7) == [1, -7, -7]
    assert found.parse("b", number, -7) == [-7, 2, -7]
    assert found.bad == {
        2: "column 'b' must be digits. Received: 'x'",
        3: "column 'a' must be digits. Received: 'y'",
        4: "column 'a' must be digits. Received: 'z'",
    }
    assert found.good().tolist() == []


def test_report_counts_all_and_shows_the_first_three(read, warnings):
    found = read("a,b\n" + "1,2\n" * 6 + "1\n" * 3 + "x,y\n")
    found.reject(1, "it is odd")
    places = found.report()
    path = found.path
    short = "there must be 2 cells. Received: 1"
    assert places == [f"'{path}', row 3: it is odd"] + [f"'{path}', row {row}: {short}" for row in (8, 9, 10)]
    assert warnings == ["Skipped 4 of 10 rows: " + "; ".join(places[:3])]
    assert found.good().tolist() == [0, 2, 3, 4, 5, 6]


def test_report_of_a_table_without_bad_rows_is_silent(read, warnings):
    assert read("a,b\n1,2\n").report() == []
    assert warnings == []


@pytest.mark.parametrize(
    ("right", "wrong", "fails"), [(2, 2, False), (2, 3, True), (0, 1, True), (1, 1, False), (1, 2, True)]
)
def test_more_than_half_of_the_rows_bad(read, warnings, right, wrong, fails):
    found = read("a,b\n" + "1,2\n" * right + "1\n" * wrong)
    if fails:
        row = right + 2
        message = (
            rf"Received: {wrong} of {right + wrong} are bad, the first is '.*t.csv', row {row}: there must"
        )
        with pytest.raises(ValueError, match=message):
            found.report()
        assert not warnings
    else:
        assert len(found.report()) == wrong


def test_no_row(read):
    with pytest.raises(ValueError, match=r"t.csv' must have at least one row below"):
        read("a,b\n").report()


def test_markers(tmp_path):
    path = write(tmp_path, "a,b\n1,2\n")
    usual = Table(path).markers("a")
    assert {"", "NA", "NaN", "null", "?"} <= usual
    assert Table(path, missing=["-1", " - ", 9]).markers("b") == {"", "-1", "-", "9"}
    found = Table(path, missing={"a": [-1]})
    assert (found.markers("a"), found.markers("b")) == ({"", "-1"}, usual)
    assert Table(path, missing=[]).markers("a") == {""}


def test_cells_among_the_markers_are_not_parsed(read):
    assert read("a,b\nNA,0\n1,0\n").parse("a", int, -7, {"NA"}) == [-7, 1]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("NA", "`missing` must be a list of strings. Received: 'NA'"),
        (5, "`missing` must be a list of strings. Received: 5"),
        ({"a": "NA"}, r"`missing\['a'\]` must be a list of strings. Received: 'NA'"),
        ({"c": ["NA"]}, r"t.csv' must have the columns \['c'\]"),
    ],
)
def test_markers_that_are_none(tmp_path, missing, message):
    with pytest.raises(ValueError, match=message):
        Table(write(tmp_path, "a,b\n1,2\n"), missing)
