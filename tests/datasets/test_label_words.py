import pytest

from mtl_zoo.datasets.label_words import find_classes, find_words_of_two
from mtl_zoo.datasets.table import Table


@pytest.fixture
def table(tmp_path):
    def make(cells):
        path = tmp_path / "t.csv"
        path.write_text("".join(f"x,{cell}\n" for cell in ["y", *cells]))
        return Table(path)

    return make


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["b", "a", "", "NA", "a"], (2, ["a", "b"])),
        (["2", "0", "1", "1"], (3, None)),
        (["1.0", "0", "0.0"], (2, None)),
        (["5", "1", "10"], (3, ["1", "5", "10"])),
        (["-1", "1"], (2, ["-1", "1"])),
        (["007", "010"], (2, ["007", "010"])),
        (["1", "a", "2"], (3, ["1", "2", "a"])),
        ([f"c{i:02}" for i in range(21)] * 2, (21, [f"c{i:02}" for i in range(21)])),
    ],
)
def test_classes_of_a_column(table, cells, expected):
    assert find_classes(table(cells), "y") == expected


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["0", "0.5"], "or its task be a regression. Received: the number 0.5"),
        (["a", "a"], r"two or more, in one spelling. Received: \['a'\]"),
        (["3", "3"], r"Received: \['3'\]"),
        (["", ""], r"Received: \[\]"),
        (["1", "1.0", "5"], r"Received: one number in two spellings among \['1', '1.0', '5'\]"),
        ([f"c{i}" for i in range(21)], "Received: 21 different ones in 21 labels"),
    ],
)
def test_columns_that_hold_no_classes(table, cells, message):
    with pytest.raises(ValueError, match=rf"t\.csv', column 'y' must hold whole numbers or words.*{message}"):
        find_classes(table(cells), "y")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "0", ""], None),
        (["1"], None),
        (["TRUE", "false"], None),
        (["yes", "no"], ["no", "yes"]),
        (["1", "-1"], ["-1", "1"]),
        (["2", "1"], ["1", "2"]),
    ],
)
def test_words_of_a_binary_task(table, cells, expected):
    assert find_words_of_two(table(cells), "y") == expected


def test_more_than_two_are_no_binary_task(table):
    with pytest.raises(ValueError, match=r"must hold two different labels for a binary task.*: 3 different"):
        find_words_of_two(table(["a", "b", "c"]), "y")
    with pytest.raises(ValueError, match=r"Received: 3 different ones, \[0, 1, 2\]"):
        find_words_of_two(table(["0", "1", "2"]), "y")


def test_a_table_without_a_right_row_says_why(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"y": 1, "seen": ["a"]}\n{"y": 0, "seen": []}\n')
    for find in (find_classes, find_words_of_two):
        with pytest.raises(ValueError, match=r"2 of 2 are bad, the first is .*must hold one number"):
            find(Table(path), "y")
