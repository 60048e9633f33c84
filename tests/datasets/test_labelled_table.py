import numpy as np
import pytest

from mtl_zoo.datasets import labelled_table as module
from mtl_zoo.datasets.table import Table


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "t.csv"
        path.write_text(content)
        return Table(path)

    return read


def test_splits_of_a_column(read):
    found = read("a,s\n1,test\n2, train\n3,Train\n4,\n5,validation\n6,train\n")
    splits = module.read_splits(found, "s")
    one_of = "column 's' must be one of ['train', 'validation', 'test']."
    assert found.bad == {4: f"{one_of} Received: 'Train'", 5: f"{one_of} Received: ''"}
    parts = module.divide(np.arange(6), found.good(), splits)
    assert {split: part.tolist() for split, part in parts.items()} == {
        "train": [1, 5],
        "validation": [4],
        "test": [0],
    }
    assert module.read_splits(found) is None
    with pytest.raises(ValueError, match=r"must have the columns \['split'\]"):
        module.read_splits(found, "split")


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (10, [7, 1, 2]), (1000, [700, 150, 150])]
)
def test_splits_by_permutation_are_disjoint_and_complete(count, sizes):
    good = 3 * np.arange(count) + 1
    parts = module.divide({"x": np.arange(3 * count)}, good)
    assert [len(part["x"]) for part in parts.values()] == sizes
    assert sorted(np.concatenate([part["x"] for part in parts.values()])) == good.tolist()


def test_splits_follow_from_the_seed():
    def train(seed):
        return module.divide(np.arange(100), np.arange(100), split_seed=seed)["train"].tolist()

    assert train(0) == train(0) != train(1)
    assert train(0) != sorted(train(0))


def parts_of(count):
    rows = np.arange(count)
    full = {"inputs": {"x": rows.astype("float32")}, "labels": {"y": rows}}
    empty = {"inputs": {"x": rows[:0]}, "labels": {"y": rows[:0]}}
    return {"train": full, "validation": full, "test": empty}


def test_batches():
    def order(split, **options):
        batches = list(module.batches(parts_of(10), split, 4, **options).as_numpy_iterator())
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
        module.batches(parts_of(3), split, batch_size)
