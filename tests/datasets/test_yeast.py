import gzip

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from mtl_zoo.datasets import yeast
from tests.datasets.harness import SPLITS, check_dataset, only_batch, pretend, real

SMALL = {"train": 12, "validation": 4, "test": 4}


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write a file of 20 genes; gene `i` has the inputs `i` and `i / 2`, and class 1 where `i` is odd."""
    genes = np.arange(20)
    table = np.zeros((20, 117))
    table[:, 0], table[:, 1:103], table[:, 103] = genes, genes[:, None] / 2, genes % 2
    header = ",".join([f"Att{i}" for i in range(1, 104)] + [f"Class{i}" for i in range(1, 15)])
    with gzip.open(tmp_path / "yeast.csv.gz", "wt") as file:
        np.savetxt(file, table, delimiter=",", header=header, comments="", fmt="%g")
    pretend(monkeypatch, tmp_path)
    monkeypatch.setattr(yeast, "SIZES", SMALL)


def test_contract(small, no_network, tmp_path, capsys):
    check_dataset(yeast, tmp_path, capsys, tasks=["class_1", "class_14"])


def test_inputs_are_standardized_by_the_training_split_and_no_label_is_among_them(small):
    found = [only_batch(yeast, split, batch_size=20) for split in SPLITS]
    assert [len(x) for x, _ in found] == list(SMALL.values())
    genes, labels = found[0]
    np.testing.assert_allclose(genes.mean(axis=0), np.zeros(103), atol=1e-6)
    np.testing.assert_allclose(genes.std(axis=0), np.ones(103), atol=1e-6)
    raw = np.concatenate([x[:, 0] for x, _ in found]).argsort().argsort()  # standardizing keeps the order
    assert sorted(raw) == list(range(20))
    np.testing.assert_array_equal(np.concatenate([y["class_1"] for _, y in found]), raw % 2)
    assert labels["class_2"].max() == 0


@pytest.fixture(scope="module")
def published():
    return yeast.read(real(*yeast.FILE))


def test_the_file_is_the_published_one(published):
    genes, classes = published
    assert (genes.shape, classes.shape) == ((2417, 103), (2417, 14))
    assert sum(yeast.SIZES.values()) == 2417
    assert round(classes.sum(axis=1).mean(), 3) == 4.237  # label cardinality, as MULAN gives it
    assert len(np.unique(classes, axis=0)) == 198  # and distinct sets of labels


def test_ml_knn_makes_the_published_error(published):
    """Zhang and Zhou (2007): a Hamming loss of 0.194 in ten-fold cross-validation; here the mean of three."""
    genes, classes = published
    errors = []
    for seed, part in np.ndindex(3, 10):
        fold = np.array_split(np.random.RandomState(seed).permutation(len(genes)), 10)[part]
        kept = np.setdiff1d(np.arange(len(genes)), fold)
        errors.append(np.mean(ml_knn(genes[kept], classes[kept], genes[fold]) != classes[fold]))
    assert round(np.mean(errors), 3) == 0.194


def ml_knn(genes, classes, new, k=10, smooth=1.0):
    """Return the classes of new genes: those that are likely, given how many neighbours have them."""
    search = NearestNeighbors(n_neighbors=k).fit(genes)
    count = classes[search.kneighbors(return_distance=False)].sum(axis=1)  # among others than oneself
    prior = (smooth + classes.sum(axis=0)) / (2 * smooth + len(classes))
    odds = prior / (1 - prior) * likelihood(count, classes, k, smooth)
    odds /= likelihood(count, 1 - classes, k, smooth)
    new_count = classes[search.kneighbors(new, return_distance=False)].sum(axis=1)
    return odds[new_count, np.arange(classes.shape[1])] > 1


def likelihood(count, members, k, smooth):
    """Return, of the genes of a class, which part has 0 to k neighbours of it, `[k + 1, classes]`."""
    found = np.stack([((count == number) & (members == 1)).sum(axis=0) for number in range(k + 1)])
    return (smooth + found) / (smooth * (k + 1) + found.sum(axis=0))
