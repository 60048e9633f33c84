import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from mtl_zoo.datasets import vowel
from tests.datasets.harness import SPLITS, check_dataset, only_batch, pretend, real

SPEAKERS, REPETITIONS, VOWELS = (axis.reshape(-1) for axis in np.indices((15, 6, 11)))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write a file of all utterances; the first number is the row, the second the repetition."""
    rows = np.arange(990)
    sound = np.stack([rows, REPETITIONS, *np.zeros((8, 990))])
    table = np.stack([SPEAKERS > 7, SPEAKERS, SPEAKERS % 2, *sound, VOWELS], axis=1)
    np.savetxt(tmp_path / "vowel.dat", table, delimiter=",", fmt="%g")
    pretend(monkeypatch, tmp_path)


def test_contract(small, no_network, tmp_path, capsys):
    check_dataset(vowel, tmp_path, capsys, batch_size=64)


def test_splits_hold_repetitions_of_every_speaker(small):
    found = [only_batch(vowel, split, batch_size=990) for split in SPLITS]
    assert [len(x) for x, _ in found] == list(vowel.SIZES.values())
    assert [set(x[:, 1]) for x, _ in found] == [{0, 1, 2, 3}, {4}, {5}]
    for x, labels in found:
        rows = x[:, 0].astype(int)
        np.testing.assert_array_equal(labels["vowel"], VOWELS[rows])
        np.testing.assert_array_equal(labels["speaker"], SPEAKERS[rows])
        np.testing.assert_array_equal(labels["female"], SPEAKERS[rows] % 2)


@pytest.fixture(scope="module")
def published():
    return vowel.read(real(*vowel.FILE))


def test_the_file_is_the_published_one(published):
    assert published["sound"].shape == (990, 10)
    np.testing.assert_array_equal(published["vowel"], VOWELS)  # the order that tells the repetition
    np.testing.assert_array_equal(published["speaker"], SPEAKERS)
    np.testing.assert_array_equal(published["repetition"], REPETITIONS)
    female = [4, 5, 6, 7, 12, 13, 14]
    np.testing.assert_array_equal(published["female"], np.isin(SPEAKERS, female))


def test_nearest_neighbour_makes_the_published_errors(published):
    """Robinson (1989): of 462 vowels of speakers 8 to 14, the nearest of the others tells 260."""
    train = published["speaker"] < 8
    nearest = KNeighborsClassifier(1).fit(published["sound"][train], published["vowel"][train])
    right = nearest.predict(published["sound"][~train]) == published["vowel"][~train]
    assert (right.sum(), len(right)) == (260, 462)
