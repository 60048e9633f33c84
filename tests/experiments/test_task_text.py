import pytest

from mtl_zoo.datasets.table import Table
from mtl_zoo.experiments.task_text import TaskText, kinds


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    rows = ["nurse,1,yes,0.5,0,1,3", "pilot,3,no,2,1,,2", "nurse,2,yes,3,1,0,1"]
    path.write_text("\n".join(["job,stars,bought,spent,tag_0,tag_1,left,", *rows]).replace("left,", "left"))
    return Table(path)


@pytest.mark.parametrize(
    ("text", "settled", "shape", "labels"),
    [
        ("job:classification", "job:classification:classes=['nurse', 'pilot']", (2,), "job"),
        ("left:classification", "left:classification:classes=['1', '2', '3']", (3,), "left"),
        ("left:classification:num_classes=9", "left:classification:num_classes=9", (9,), "left"),
        ("bought:binary", "bought:binary:classes=['no', 'yes']", (1,), "bought"),
        ("tag_0:binary", "tag_0:binary", (1,), "tag_0"),
        ("tag_0:binary:where=bought", "tag_0:binary:where='bought'", (1,), "tag_0"),
        ("spent:regression", "spent:regression:units=1", (1,), "spent"),
        ("tag:multilabel", "tag:multilabel:n=2", (2,), "tag"),
        ("tag:regression", "tag:regression:units=2", (2,), "tag"),
        ("cost:regression:column=spent", "cost:regression:column='spent',units=1", (1,), "spent"),
        ("b:binary:column=bought,classes=[yes, no]", None, (1,), "bought"),
    ],
)
def test_a_table_tells_what_is_missing(table, text, settled, shape, labels):
    found = TaskText.parse(text).settled(table)
    assert str(found) == settled or settled is None
    again = TaskText.parse(str(found))
    assert again == found == again.settled(table)
    task = again.task()
    assert (task.output_shape, task.label_name, task.name) == (shape, labels, text.partition(":")[0])


def test_words_in_a_given_order():
    text = TaskText.parse("bought:binary:classes=[yes, no]")
    assert text.classes == ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bought", "A task must be name:kind, such as bought:binary. Received: 'bought'"),
        ("bought:bool", f"must be one of {', '.join(kinds())}. Received: 'bought:bool'"),
        ("bought:binary:n=2", "A task of kind binary takes .*classes, column. Received: 'bought:binary:n=2'"),
        ("a b:binary", "--task=a_b:binary:column='a b'. Received: 'a b:binary'"),
        ("job:classification:num_classes=x", "Task 'job:classification:num_classes='x'': `num_classes` must"),
        ("val:binary:column=tag_0", "Task 'val:binary:column='tag_0'': A task's name must not be one of"),
        ("none:binary", r"must have the columns \['none'\]"),
        ("none:regression", r"must have the columns \['none'\]"),
        ("job:segmentation", "must be in columns of a table. Received: 'job:segmentation"),
        ("job:tagging:num_tags=3", "must be in columns of a table"),
    ],
)
def test_mistakes(table, text, message):
    with pytest.raises(ValueError, match=message):
        TaskText.parse(text).settled(table).task()


def test_the_size_of_an_output():
    assert TaskText.parse("a:classification").sized(4).task().output_shape == (4,)
    assert TaskText.parse("a:classification:num_classes=3").sized(4).task().output_shape == (3,)
    assert TaskText.parse("a:classification:classes=[x, y]").sized(4).task().output_shape == (2,)
    assert TaskText.parse("a:binary").sized(4).task().output_shape == (1,)
    assert TaskText.parse("a:dense_regression").sized(4).task().output_shape == (None, None, 4)
    assert TaskText.parse("a:tagging").sized(4).task().output_shape == (None, 4)
