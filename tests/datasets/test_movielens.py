import numpy as np

from mtl_zoo.datasets import movielens
from tests.datasets.harness import check_dataset, examples, mock, only_batch


def test_contract(no_network, tmp_path, capsys):
    with mock():
        check_dataset(movielens, tmp_path, capsys)


def test_no_rating_is_an_input():
    assert not {"user_rating", "timestamp"} & set(movielens.inputs())


def test_values():
    features = {
        "user_id": ["1", "2", "3", "1"],
        "movie_id": ["7", "7", "8", "9"],
        "user_gender": [True, False, False, True],
        "user_occupation_label": np.array([1, 20, 3, 1]),
        "bucketized_user_age": np.float32([18, 25, 56, 18]),
        "user_rating": np.float32([1, 3, 4, 5]),
    }
    with mock(as_dataset_fn=examples(features)):
        x, labels = only_batch(movielens, "test")
    assert set(x) == set(movielens.inputs())
    assert x["movie_id"].tolist() == [[b"7"], [b"7"], [b"8"], [b"9"]]
    assert x["user_gender"].tolist() == [[1], [0], [0], [1]]
    assert x["bucketized_user_age"].tolist() == [[18], [25], [56], [18]]
    assert labels["rating"].tolist() == [1, 3, 4, 5]
    assert labels["like"].tolist() == [0, 0, 1, 1]
