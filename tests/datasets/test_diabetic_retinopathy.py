import numpy as np
import pytest

from mtl_zoo.datasets import diabetic_retinopathy
from tests.datasets.harness import check_dataset, examples, mock, only_batch


def test_contract(no_network, tmp_path, capsys):
    with mock():
        check_dataset(diabetic_retinopathy, tmp_path, capsys)


def test_referable_follows_from_the_grade():
    features = {"image": np.zeros((6, 40, 40, 3), "uint8"), "label": np.array([0, 1, 2, 3, 4, -1])}
    with mock(as_dataset_fn=examples(features)):
        _, labels = only_batch(diabetic_retinopathy, "test", batch_size=6)
    assert labels["grade"].tolist() == [0, 1, 2, 3, 4, -1]
    assert labels["referable"].tolist() == [0, 0, 1, 1, 1, -1]


def test_without_the_files_the_error_says_where_to_get_them(tmp_path):
    with pytest.raises(OSError, match=r"Manual directory .*nowhere does not exist(?s:.)*kaggle.com"):
        diabetic_retinopathy.load("train", 4, data_dir=tmp_path, manual_dir=tmp_path / "nowhere")
