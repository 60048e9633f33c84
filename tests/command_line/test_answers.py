import numpy as np

from mtl_zoo.command_line.answers import columns_of

HALF = np.array([[0.25, 0.75], [0.5, 0.125]], "float32")


def test_classes_without_names_are_numbers():
    found = columns_of("kind", {"kind": "classification", "classes": 2}, HALF)
    assert found == {
        "kind": ["1", "0"],
        "kind_probability_0": ["0.25", "0.5"],
        "kind_probability_1": ["0.75", "0.125"],
    }


def test_binary_is_over_one_half():
    about = {"kind": "binary", "classes": 2, "class_names": ["no", "yes"]}
    found = columns_of("bought", about, np.array([[0.5], [0.75]], "float32"))
    assert found == {"bought": ["no", "yes"], "bought_probability_yes": ["0.5", "0.75"]}


def test_multilabel_and_numbers_have_columns_as_their_labels_have():
    assert columns_of("tag", {"kind": "multilabel", "classes": 2}, HALF) == {
        "tag_0": ["0", "0"],
        "tag_0_probability": ["0.25", "0.5"],
        "tag_1": ["1", "0"],
        "tag_1_probability": ["0.75", "0.125"],
    }
    assert columns_of("box", {"kind": "regression"}, HALF) == {
        "box_0": ["0.25", "0.5"],
        "box_1": ["0.75", "0.125"],
    }
    assert columns_of("a", {"kind": "regression"}, np.array([[1 / 3]], "float32")) == {"a": ["0.33333334"]}
