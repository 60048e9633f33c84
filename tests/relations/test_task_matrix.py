import numpy as np
import pytest

from mtl_zoo.relations.task_matrix import TaskMatrix

VALUES = np.array([[0.5, 0.25], [np.nan, 1.0]])


def test_numbers_by_name_and_as_an_array():
    matrix = TaskMatrix(["a", "b"], VALUES)
    assert (matrix.names, matrix.quantity, matrix.of("a", "b")) == (("a", "b"), "affinity", 0.25)
    np.testing.assert_array_equal(np.asarray(matrix), VALUES)
    assert np.asarray(matrix) is not matrix.values
    assert matrix.rows() == [["affinity", "a", "b"], ["a", "0.5", "0.25"], ["b", "nan", "1"]]
    assert not matrix.is_known()
    assert TaskMatrix(["a", "b"], [[np.nan, 1], [2, np.nan]]).is_known()


def test_a_file_brings_back_the_matrix(tmp_path):
    TaskMatrix(("a", "b"), VALUES, "gain").write(tmp_path / "matrix.json")
    again = TaskMatrix.read(tmp_path / "matrix.json")
    assert (again.names, again.quantity) == (("a", "b"), "gain")
    np.testing.assert_array_equal(again.values, VALUES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "must be JSON"),
        ("{}", "'quantity' in '.*' must be a string"),
        ('{"quantity": "x", "tasks": [1], "values": [[1]]}', "must be a list of strings"),
        ('{"quantity": "x", "tasks": ["a"], "values": [[1, 2]]}', "must hold a matrix of tasks"),
        ('{"quantity": "x", "tasks": ["a"], "values": [["1"]]}', "must hold a matrix of tasks"),
        ('{"quantity": "x", "tasks": ["a", "b"], "values": [[1, 2], [3]]}', "must hold a matrix of tasks"),
        ('{"quantity": "x", "tasks": ["a", "a"], "values": [[1, 2], [3, 4]]}', "must hold a matrix of tasks"),
    ],
)
def test_another_file_is_refused(tmp_path, text, message):
    (tmp_path / "matrix.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        TaskMatrix.read(tmp_path / "matrix.json")


def test_a_picture_has_a_dendrogram_if_all_pairs_are_known():
    assert len(TaskMatrix(("a", "b"), VALUES).plot().axes) == 1
    figure = TaskMatrix(("a", "b", "c"), np.arange(9).reshape(3, 3)).plot("Together")
    matrix, tree = figure.axes
    assert figure.get_suptitle() == "Together"
    assert [text.get_text() for text in matrix.texts] == list("012345678")
    # b-c: (5 + 7) / 2 = 6 joins first, then a at ((1 + 3) / 2 + (2 + 6) / 2) / 2 = 3
    assert [sorted(set(line.get_xdata())) for line in tree.lines] == [[6.0, 6.3], [3.0, 6.0, 6.3]]
