import dataclasses
import math

import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.datasets import labels as module
from mtl_zoo.datasets.table import Table

NAN = math.nan


@pytest.fixture
def read(tmp_path):
    def read(content, missing=None):
        path = tmp_path / "t.csv"
        path.write_text(content)
        return Table(path, missing)

    return read


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
    labels = module.read_labels(found, TASKS)
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
    labels = module.read_labels(found, tasks, classes)
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
    labels = module.read_labels(found, TASKS)
    assert found.bad == {3: reason}
    assert all(len(label) == 2 for label in labels.values())


def test_a_word_that_is_no_class(read):
    found = read("colour\nred\nblue\nRed\n")
    module.read_labels(found, [mz.Task.binary("colour")], {"colour": ["red", "green"]})
    assert found.bad == {
        3: "column 'colour' must be one of ['red', 'green']. Received: 'blue'",
        4: "column 'colour' must be one of ['red', 'green']. Received: 'Red'",
    }


def test_a_label_name_that_is_not_the_tasks(read):
    task = dataclasses.replace(mz.Task.regression("hours"), label_name="hours per week")
    labels = module.read_labels(read("hours per week\n40\n"), [task])
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
        module.read_labels(read("a,b\n1,2\n"), tasks, classes)


def test_markers_of_absence_are_missing_labels(read):
    found = read(HEADER + "NA,?,null,None,NaN,N/A,<NA>\nTrue,2.0,1,FALSE,true,1,1\n")
    labels = module.read_labels(found, TASKS)
    assert not found.bad
    assert {name: label.tolist() for name, label in labels.items() if label.dtype == "int64"} == {
        "bought": [-1, 1],
        "colour": [-1, 2],
        "tag": [[-1, -1], [0, 1]],
    }
    np.testing.assert_array_equal(labels["spent"], [NAN, 1])
    np.testing.assert_array_equal(labels["box"], [[NAN, NAN], [1, 1]])


def test_markers_of_ones_own(read):
    found = read("y,z\n-1,-1\nNA,1\n,0\n-1,1\n1,1\n1,1\n", missing={"y": [-1]})
    labels = module.read_labels(found, [mz.Task.regression("y"), mz.Task.binary("z")])
    np.testing.assert_array_equal(labels["y"], [NAN, NAN, NAN, NAN, 1, 1])
    assert found.bad == {
        2: "column 'z' must be an integer from 0 to 1. Received: '-1'",
        3: "column 'y' must be a finite number. Received: 'NA'",
    }


def test_a_word_among_the_classes_is_no_marker(read):
    found = read("region,note\nEU,1\nNA,2\nnull,3\n")
    labels = module.read_labels(found, [mz.Task.binary("region")], {"region": ["EU", "NA"]})
    assert labels["region"].tolist() == [0, 1, -1]
    assert not found.bad


def test_true_is_a_class_of_two_classes_alone(read):
    found = read("colour\n0\n1\ntrue\n")
    module.read_labels(found, [mz.Task.classification("colour", 3)])
    assert found.bad == {4: "column 'colour' must be an integer from 0 to 2. Received: 'true'"}


@pytest.mark.parametrize(
    ("cells", "words"), [("yes,no,no", "no, yes"), ("1,yes,no", "1, no, yes"), ("2024-01-31,,1,x", "x")]
)
def test_words_without_classes(read, cells, words):
    found = read("y,x\n" + "".join(f"{cell},0\n" for cell in cells.split(",")))
    example = ", ".join(f"'{word}'" for word in words.split(", "))
    message = rf"'y' must hold integers from 0 to 1, or `classes` .* classes={{'y': \[.*{example}\]}}"
    with pytest.raises(ValueError, match=message):
        module.read_labels(found, [mz.Task.binary("y")])


@pytest.mark.parametrize("cell", ["1,234.5", "2024-01-31", "12%", "12,5"])
def test_numbers_with_separators_and_dates_are_bad_rows(read, cell):
    found = read(f'y,x\n1,0\n"{cell}",0\n')
    module.read_labels(found, [mz.Task.regression("y")])
    assert found.bad == {3: f"column 'y' must be a finite number. Received: '{cell}'"}


@pytest.mark.parametrize("classes", [["no", "yes"], {"a": "ny"}])
def test_classes_that_are_no_dictionary_of_lists(read, classes):
    with pytest.raises(ValueError, match="`classes` must be a dictionary from names of tasks to lists"):
        module.read_labels(read("a\n1\n"), [mz.Task.binary("a")], classes)


def test_labels_that_float32_rounds_are_warned_of(read, monkeypatch):
    warnings = []
    monkeypatch.setattr("absl.logging.warning", lambda text, *values: warnings.append(text % values))
    found = read("seconds,kelvin\n1700000000,300\n1700000001,310\n1700000002,320\n")
    module.read_labels(found, [mz.Task.regression("seconds"), mz.Task.regression("kelvin")])
    assert len(warnings) == 1
    assert warnings[0].startswith(
        f"Labels 'seconds' of '{found.path}' differ by about 0.816 around 1.7e+09, too"
    )


def test_counts_relevances_and_ordered_classes(read):
    tasks = [mz.Task.count("visits"), mz.Task.ranking("hit", 2), mz.Task.ordinal("stars", 3)]
    found = read("visits,hit_0,hit_1,stars\n3,1,0.5,good\n,2,,\n-3,1,1,bad\n4,1,-1,bad\n")
    labels = module.read_labels(found, tasks, {"stars": ["bad", "fair", "good"]})
    reason = "must be a number of at least 0. Received: '{}'"
    assert found.bad == {
        4: "column 'visits' " + reason.format("-3"),
        5: "column 'hit_1' " + reason.format("-1"),
    }
    np.testing.assert_array_equal(labels["visits"][:2], np.array([3, NAN], "float32"))
    np.testing.assert_array_equal(labels["hit"][:2], np.array([[1, 0.5], [2, NAN]], "float32"))
    np.testing.assert_array_equal(labels["stars"][:2], [2, -1])
