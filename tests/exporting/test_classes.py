import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting.classes import check_class_names, class_outputs, num_classes
from mtl_zoo.task import Task

KIND, CLICK = Task.classification("kind", 3), Task.binary("click")
TAGS, WORDS = Task.multilabel("tags", 2), Task.tagging("words", 2)
PRICE = Task.regression("price")
NAMES = {"kind": ["Äpfel", "pears", "a lot"], "click": ["no", "yes"], "tags": ["new", "cheap"], "words": None}


def test_number_of_names():
    tasks = (KIND, CLICK, TAGS, WORDS, PRICE, Task.segmentation("mask", 5))
    assert [num_classes(task) for task in tasks] == [3, 2, 2, 2, None, 5]


def test_an_artefact_answers_ids_and_names(tmp_path):
    inputs = keras.Input((4,), name="x")
    outputs = {
        task.name: keras.layers.Identity()(x)
        for task, x in zip((KIND, CLICK), (inputs[:, :3], inputs[:, 3:]), strict=True)
    }
    outputs["tags"] = inputs[:, :2]
    outputs["words"] = keras.layers.Reshape((2, 2))(inputs)
    model = keras.Model(inputs, outputs)
    exporting.saved_model(model, [KIND, CLICK, TAGS, WORDS], tmp_path / "1", class_names=NAMES)
    names = (tmp_path / "1" / "assets" / "kind_classes.txt").read_text(encoding="utf-8")
    assert names.splitlines() == NAMES["kind"]
    (tmp_path / "1").rename(tmp_path / "2")  # assets are found where the artefact is
    x = np.array([[3.0, 1.0, 2.0, 1.0], [-2.0, 1.0, 0.0, -1.0]], "float32")
    signatures = tf.saved_model.load(str(tmp_path / "2")).signatures
    answer = signatures["serving_default"](x=tf.constant(x))
    expected = {
        "kind_class_id": [0, 1],
        "kind_class_name": ["Äpfel".encode(), b"pears"],
        "click_class_id": [1, 0],
        "click_class_name": [b"yes", b"no"],
        "tags_class_id": [[1, 1], [0, 1]],
        "tags_class_name": [[b"new", b"cheap"], [b"", b"cheap"]],
        "words_class_id": [[0, 0], [1, 0]],
    }
    assert set(answer) == {*NAMES, *expected}
    for name, values in expected.items():
        assert answer[name].numpy().tolist() == values
    assert set(signatures["click"].structured_outputs) == {"click", "click_class_id", "click_class_name"}


def test_one_half_is_no():
    outputs = class_outputs(TAGS, tf.constant([[0.5, 0.51]]))
    assert outputs["tags_class_id"].numpy().tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"other": ["a"]}, r"for tasks among \['kind', 'click', 'price'\]\. Received: \['other'\]"),
        ({"price": ["a"]}, "for tasks with classes. Received: 'price'"),
        ({"click": ["yes"]}, r"task 'click' must be 2 strings of one line\. Received: \['yes'\]"),
        ({"kind": ["a", "b", "c\nd"]}, "3 strings of one line"),
        ({"kind": ["a", "b", ""]}, "3 strings of one line"),
        ({"kind": ["a", "b", 3]}, "3 strings of one line"),
        ({"kind": "abc"}, "3 strings of one line"),
        ({"kind": 3}, "3 strings of one line"),
    ],
)
def test_wrong_names(names, message):
    with pytest.raises(ValueError, match=message):
        check_class_names([KIND, CLICK, PRICE], names)


def test_no_task_may_be_called_like_an_output_of_another():
    with pytest.raises(ValueError, match=r"name of another's output\. Received: kind_class_id"):
        check_class_names([KIND, Task.regression("kind_class_id")], {"kind": None})
