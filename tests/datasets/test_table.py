import dataclasses
import math

import numpy as np
import pytest

import mtl_zoo as mz
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


TASKS = (
    mz.Task.binary("bought"),
    mz.Task.classification("colour", 3),
    mz.Task.regression("spent"),
    mz.Task.multilabel("tag", 2),
    mz.Task.regression("box", 2),
)
HEADER = "bought,colour,spent,tag_0,tag_1,box_1,box_0\n"


def test_labels_by_hand(read):
    found = read(HEADER + "1,2,3.5,0,1,20,10\n,,,,1,,-1e3\n0,1.0,nan,1,,7,8\n")
    labels = table.read_labels(found, TASKS)
    assert not found.bad
    expected = {
        "bought": np.array([1, -1, 0]),
        "colour": np.array([2, -1, 1]),
        "spent": np.array([3.5, NAN, NAN], "float32"),
        "tag": np.array([[0, 1], [-1, 1], [1, -1]]),
        "box": np.array([[10, 20], [-1000, NAN], [8, 7]], "float32"),
    }
    assert list(labels) == list(expected)
    for name, label in labels.items():
        np.testing.assert_array_equal(label, expected[name])
        assert label.dtype == expected[name].dtype


def test_labels_by_words(read):
    tasks = [mz.Task.classification("colour", 3), mz.Task.binary("bought"), mz.Task.multilabel("tag", 2)]
    classes = {"colour": ["red", "green", "sky blue"], "bought": ("no", "yes"), "tag": [10, 20]}
    found = read("colour,bought,tag_0,tag_1\nsky blue,yes,20,10\n,no,,20\nred,,10,10\n")
    labels = table.read_labels(found, tasks, classes)
    assert not found.bad
    assert {name: label.tolist() for name, label in labels.items()} == {
        "colour": [2, -1, 0],
        "bought": [1, 0, -1],
        "tag": [[1, 0], [-1, 1], [0, 0]],
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("yes,0,1,0,0,1,1", "column 'bought' must be an integer from 0 to 1. Received: 'yes'"),
        ("2,0,1,0,0,1,1", "column 'bought' must be an integer from 0 to 1. Received: '2'"),
        ("0,-1,1,0,0,1,1", "column 'colour' must be an integer from 0 to 2. Received: '-1'"),
        ("0,1.5,1,0,0,1,1", "column 'colour' must be an integer from 0 to 2. Received: '1.5'"),
        ("0,inf,1,0,0,1,1", "column 'colour' must be an integer from 0 to 2. Received: 'inf'"),
        ("0,0,1,0,3,1,1", "column 'tag_1' must be an integer from 0 to 1. Received: '3'"),
        ("0,0,much,0,0,1,1", "column 'spent' must be a finite number. Received: 'much'"),
        ("0,0,-inf,0,0,1,1", "column 'spent' must be a finite number. Received: '-inf'"),
        ("0,0,1e39,0,0,1,1", "column 'spent' must be a finite number. Received: '1e39'"),
        ("0,0,1_0,0,0,1,1", "column 'spent' must be a finite number. Received: '1_0'"),
        ("0,0,1,0,0,x,1", "column 'box_1' must be a finite number. Received: 'x'"),
    ],
)
def test_bad_labels(read, row, reason):
    found = read(HEADER + "0,0,1,0,0,1,1\n" + row + "\n")
    labels = table.read_labels(found, TASKS)
    assert found.bad == {3: reason}
    assert all(len(label) == 2 for label in labels.values())


def test_a_word_that_is_no_class(read):
    found = read("colour\nred\nblue\nRed\n")
    table.read_labels(found, [mz.Task.binary("colour")], {"colour": ["red", "green"]})
    assert found.bad == {
        3: "column 'colour' must be one of ['red', 'green']. Received: 'blue'",
        4: "column 'colour' must be one of ['red', 'green']. Received: 'Red'",
    }


def test_a_label_name_that_is_not_the_tasks(read):
    task = dataclasses.replace(mz.Task.regression("hours"), label_name="hours per week")
    labels = table.read_labels(read("hours per week\n40\n"), [task])
    assert labels["hours per week"].tolist() == [40.0]


@pytest.mark.parametrize(
    ("tasks", "classes", "message"),
    [
        (
            [mz.Task.binary("sold")],
            None,
            r"t.csv' must have the columns \['sold'\]. Received columns: \['a', 'b'",
        ),
        ([mz.Task.regression("a", 2)], None, r"must have the columns \['a_0', 'a_1'\]"),
        ([], None, "at least one task"),
        ([mz.Task.binary("a"), mz.Task.regression("a")], None, "a name of its own"),
        ([mz.Task.tagging("a", 3)], None, r"task 'a' must be one class .* label_shape=\(None,\)"),
        ([mz.Task.segmentation("a", 3, (2, 2))], None, r"Received: label_shape=\(2, 2\)"),
        (
            [mz.Task.binary("a")],
            {"a": ["x"]},
            r"numbers of classes: {'a': 2}. Received: 1 words for 'a', \['x'\]",
        ),
        ([mz.Task.binary("a")], {"a": ["x", "x"]}, r"one word per class.* \['x', 'x'\]"),
        ([mz.Task.binary("a")], {"a": ["x", ""]}, r"one word per class.* \['x', ''\]"),
        ([mz.Task.binary("a")], {"c": ["x", "y"]}, "Received: 2 words for 'c'"),
        ([mz.Task.regression("a")], {"a": ["x", "y"]}, "Received: 2 words for 'a'"),
    ],
)
def test_tasks_and_classes_that_do_not_fit(read, tasks, classes, message):
    with pytest.raises(ValueError, match=message):
        table.read_labels(read("a,b\n1,2\n"), tasks, classes)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", " -2.5e1", "", "nan"], np.array([1, -25, NAN, NAN], "float32")),
        (["", "", "", ""], np.array([NAN, NAN, NAN, NAN], "float32")),
        (["1", "2", "", "three"], np.array(["1", "2", "", "three"], object)),
        (["1_0", "2_0", "3", "4"], np.array(["1_0", "2_0", "3", "4"], object)),
    ],
)
def test_features(read, cells, expected):
    found = read("a,b\n" + "".join(f"{cell},0\n" for cell in cells))
    column = table.read_feature(found, "a")
    np.testing.assert_array_equal(column, expected)
    assert column.dtype == expected.dtype
    assert not found.bad


def test_infinite_features_and_those_of_bad_rows(read):
    found = read("a,b\n1,2\ninf,3\n-1e39,4\nword,5\n")
    found.reject(3, "it is bad for another reason")
    column = table.read_feature(found, "a")
    assert column.dtype == "float32"  # the word is in a row that counts no more
    assert column[0] == 1
    assert found.bad == {
        3: "column 'a' must be a finite number. Received: 'inf'",
        4: "column 'a' must be a finite number. Received: '-1e39'",
        5: "it is bad for another reason",
    }


def test_splits_of_a_column(read):
    found = read("a,s\n1,test\n2, train\n3,Train\n4,\n5,validation\n6,train\n")
    splits = table.read_splits(found, "s")
    one_of = "column 's' must be one of ['train', 'validation', 'test']."
    assert found.bad == {4: f"{one_of} Received: 'Train'", 5: f"{one_of} Received: ''"}
    parts = table.divide(np.arange(6), found.good(), splits)
    assert {split: part.tolist() for split, part in parts.items()} == {
        "train": [1, 5],
        "validation": [4],
        "test": [0],
    }
    assert table.read_splits(found) is None
    with pytest.raises(ValueError, match=r"must have the columns \['split'\]"):
        table.read_splits(found, "split")


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (10, [7, 1, 2]), (1000, [700, 150, 150])]
)
def test_splits_by_permutation_are_disjoint_and_complete(count, sizes):
    good = 3 * np.arange(count) + 1
    parts = table.divide({"x": np.arange(3 * count)}, good)
    assert [len(part["x"]) for part in parts.values()] == sizes
    assert sorted(np.concatenate([part["x"] for part in parts.values()])) == good.tolist()


def test_splits_follow_from_the_seed():
    def train(seed):
        return table.divide(np.arange(100), np.arange(100), split_seed=seed)["train"].tolist()

    assert train(0) == train(0) != train(1)
    assert train(0) != sorted(train(0))


def parts_of(count):
    rows = np.arange(count)
    full = {"inputs": {"x": rows.astype("float32")}, "labels": {"y": rows}}
    empty = {"inputs": {"x": rows[:0]}, "labels": {"y": rows[:0]}}
    return {"train": full, "validation": full, "test": empty}


def test_batches():
    def order(split, **options):
        batches = list(table.batches(parts_of(10), split, 4, **options).as_numpy_iterator())
        for inputs, labels in batches:
            np.testing.assert_array_equal(inputs["x"], labels["y"])
        return np.concatenate([labels["y"] for _, labels in batches]).tolist()

    assert order("validation") == list(range(10))
    assert order("validation", drop_remainder=True) == list(range(8))
    assert order("train", seed=1) == order("train", seed=1) != order("train", seed=2)
    assert sorted(order("train")) == list(range(10))


@pytest.mark.parametrize(
    ("split", "batch_size", "message"),
    [
        ("dev", 1, r"must be one of \['train', 'validation', 'test'\]. Received: split='dev'"),
        ("test", 1, "Split 'test' must have at least one row"),
        ("train", 0, "Received: batch_size=0"),
    ],
)
def test_errors_of_batches(split, batch_size, message):
    with pytest.raises(ValueError, match=message):
        table.batches(parts_of(3), split, batch_size)
