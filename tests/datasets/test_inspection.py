import pytest

from mtl_zoo.datasets.inspection import inspect_columns
from mtl_zoo.datasets.table import Table
from mtl_zoo.task import Task


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    rows = ["3.5,red,yes,7,train", ",blue,no,8,test", "NA,red,,9,train", "-1,red,maybe,1,train"]
    path.write_text("\n".join(["size,colour,bought,shop,part", *rows]))
    return Table(path)


def test_columns_are_told_as_training_takes_them(table):
    tasks, classes = [Task.binary("bought"), Task.regression("size")], {"bought": ["no", "yes"]}
    found = inspect_columns(table, tasks, classes, {"part": "splits"}, categories=["shop"])
    assert found == [
        ("size", "labels of task size", "2", "from -1 to 3.5", "regression"),
        ("colour", "categories", "0", "red 3, blue 1", "binary, classification (2 classes)"),
        ("bought", "labels of task bought", "1", "yes 1, no 1, maybe 1", "classification (3 classes)"),
        ("shop", "categories", "0", "7 1, 8 1, 9 1, 1 1", "classification (4 classes), regression"),
        ("part", "splits", "0", "train 3, test 1", "binary, classification (2 classes)"),
    ]
    assert table.bad == {5: "column 'bought' must be one of ['no', 'yes']. Received: 'maybe'"}


def test_unknown_columns(table):
    with pytest.raises(ValueError, match=r"must have the columns \['none'\]"):
        inspect_columns(table, roles={"none": "ignored"})
