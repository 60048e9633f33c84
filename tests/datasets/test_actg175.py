import csv

import numpy as np
import pytest

from mtl_zoo.datasets import actg175
from tests.datasets.harness import SPLITS, check_dataset, only_batch, pretend, real

SMALL = {"train": 12, "validation": 4, "test": 4}
LATER = ("offtrt", "cd420", "cd496", "r", "cd820", "cens", "days")  # measured after treatment began


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Write a file of 20 patients; patient `i` is `20 + i` years old, and every fourth lacks a count."""
    names = ["", "pidnum", *actg175.FEATURES, *LATER]
    with open(tmp_path / "ACTG175.csv", "w", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        rows.writerow(names)
        for i in range(20):
            row = dict.fromkeys(names, i % 2) | {"": str(i), "age": 20 + i, "cd420": 100 * i, "cd496": 50 * i}
            rows.writerow([*(row | {"cd496": "NA"} if i % 4 == 0 else row).values()])
    (tmp_path / "ACTG175.csv").write_text((tmp_path / "ACTG175.csv").read_text().replace('"NA"', "NA"))
    pretend(monkeypatch, tmp_path)
    monkeypatch.setattr(actg175, "SIZES", SMALL)


def test_contract(small, no_network, tmp_path, capsys):
    check_dataset(actg175, tmp_path, capsys)


def test_values(small):
    found = [only_batch(actg175, split, batch_size=20) for split in SPLITS]
    patients = np.concatenate([x["age"][:, 0] for x, _ in found]).astype(int) - 20
    assert sorted(patients) == list(range(20))
    labels = {name: np.concatenate([y[name] for _, y in found]) for name in found[0][1]}
    np.testing.assert_array_equal(labels["cd4_week_20"], patients)  # hundreds of cells
    np.testing.assert_array_equal(labels["cd4_week_96"], np.where(patients % 4, patients / 2, np.nan))
    np.testing.assert_array_equal(labels["event"], patients % 2)
    assert {column.dtype.kind for name, column in found[0][0].items() if name in actg175.NUMBERS} == {"f"}
    assert {column.dtype.kind for name, column in found[0][0].items() if name in actg175.CATEGORIES} == {"i"}


def test_nothing_that_was_measured_later_is_an_input():
    assert not set(actg175.inputs()) & set(LATER)
    assert list(actg175.inputs()) == list(actg175.FEATURES)


@pytest.fixture(scope="module")
def published():
    return actg175.read(real(*actg175.FILE))


def test_the_file_is_the_published_one(published):
    """Counts in the documentation of R package speff2trial, where the table was published."""
    assert sum(actg175.SIZES.values()) == len(published["event"]) == 2139
    assert np.bincount(published["arms"]).tolist() == [532, 522, 524, 561]
    assert np.isnan(published["cd4_week_96"]).sum() == 797
    assert published["event"].sum() == 521


def test_the_effect_of_treatment_is_the_published_one(published):
    """Tsiatis et al. (2008): other treatments than zidovudine alone bring 46.8 cells more (error 6.76)."""
    cells = 100 * published["cd4_week_20"].astype("float64")
    alone, other = cells[published["arms"] == 0], cells[published["arms"] > 0]
    assert round(other.mean() - alone.mean(), 1) == 46.8
    assert round(np.sqrt(sum(x.var(ddof=1) / len(x) for x in (alone, other))), 2) == 6.76
