import gzip
import itertools
import pathlib

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.command_line import main as cli
from mtl_zoo.datasets import census_income
from mtl_zoo.datasets.census_income import COLUMNS, EXCLUDED, FEATURES, NUMBERS, read
from mtl_zoo.experiments.recipe import LOCATIONS

REAL = pathlib.Path(__file__).parents[2].parent / "shared" / "data" / "census-income.test.gz"
ROWS = 200


def row(index):
    """Return the text of a row: older people earn more, and every other one never married."""
    values = dict.fromkeys(COLUMNS, "Not in universe") | dict.fromkeys(NUMBERS, "0")
    values |= {"age": str(index % 90), "education": f"degree {index % 3}", "instance_weight": "1234.5"}
    values["marital_status"] = "Never married" if index % 2 else "Divorced"
    values["income"] = "50000+." if index % 90 > 60 else "- 50000."
    return ", ".join(values[name] for name in COLUMNS)


def write(folder, lines, name="census-income.test.gz"):
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / name, "wt") as file:
        file.write("\n".join(lines) + "\n")
    return folder / name


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Return where the dataset lies."""
    manual_dir = tmp_path_factory.mktemp("manual")
    write(manual_dir, map(row, range(ROWS)))
    return {"data_dir": tmp_path_factory.mktemp("data"), "manual_dir": manual_dir}


def ages(split, places, **options):
    batches = census_income.load(split, 32, **places, **options).as_numpy_iterator()
    return np.concatenate([x["age"][:, 0] for x, _ in batches]).tolist()


def test_columns():
    assert len(COLUMNS) == len(set(COLUMNS)) == 42
    assert (COLUMNS[24], COLUMNS[7], COLUMNS[41]) == ("instance_weight", "marital_status", "income")
    assert set(NUMBERS) < set(FEATURES)
    assert not set(FEATURES) & set(EXCLUDED)
    assert list(census_income.inputs()) == list(FEATURES)


def test_splits_hold_every_row_once(places):
    splits = {split: ages(split, places) for split in census_income.SPLITS}
    assert [len(found) for found in splits.values()] == [140, 30, 30]
    assert sorted(itertools.chain(*splits.values())) == sorted(i % 90 for i in range(ROWS))


def test_both_files_make_one_dataset_and_one_file_does_not_stand_for_both(tmp_path):
    places = {"data_dir": tmp_path / "data", "manual_dir": tmp_path / "manual"}
    write(places["manual_dir"], map(row, range(40)))
    assert len(ages("train", places)) == 28
    write(places["manual_dir"], map(row, range(40, 100)), name="census-income.data.gz")
    message = (
        r"must not hold `census_income` of other files .* \['census-income.test.gz'\] in data_dir, \['cens"
    )
    with pytest.raises(ValueError, match=message):
        ages("train", places)
    places["data_dir"] = tmp_path / "other"
    splits = [ages(split, places) for split in census_income.SPLITS]
    assert [len(found) for found in splits] == [70, 15, 15]
    assert sorted(itertools.chain(*splits)) == sorted(i % 90 for i in range(100))


def test_training_order_follows_from_the_seed(places):
    assert ages("train", places, seed=1) == ages("train", places, seed=1)
    assert ages("train", places, seed=1) != ages("train", places, seed=2)
    assert ages("test", places, seed=1) == ages("test", places, seed=2)


def test_values_and_labels(places):
    for x, labels in census_income.load("test", 7, **places).as_numpy_iterator():
        assert set(x) == set(FEATURES)
        assert x["age"].dtype == np.float32
        np.testing.assert_array_equal(labels["income"], x["age"][:, 0] > 60)
        assert x["education"][0, 0].startswith(b"degree ")


@pytest.mark.parametrize("name", ["mmoe", "ple"])
def test_trains_on_its_default_encoder(name, places):
    keras.utils.set_random_seed(0)
    builder = getattr(mz.architectures, name)
    encoder = census_income.encoder(**places)
    model = builder(census_income.inputs(), census_income.TASKS, encoder)
    trainer = mz.Trainer(model, census_income.TASKS)
    trainer.compile(keras.optimizers.Adam(0.01))
    history = trainer.fit(census_income.load("train", 32, **places), epochs=8, verbose=0).history
    assert history["income_auc"][-1] > 0.9


def test_the_command_line_gives_the_encoder_its_places(places, tmp_path, capsys):
    flags = [f"--{name}={places[name]}" for name in LOCATIONS]
    flags += ["--epochs=1", f"--run_dir={tmp_path / 'run'}", "--quiet"]
    assert not cli.main(["train", "--dataset=census_income", *flags])
    assert "never_married" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a, b", r"census-income.test.gz', row 2: there must be 42 columns. Received: 2"),
        (row(1).replace("- 50000.", "50"), r"row 2: income must be one of .* Received: '50'"),
        ("x" + row(1), r"row 2: age must be a number. Received: 'x1'"),
        ("inf" + row(1)[1:], r"row 2: age must be a number. Received: 'inf'"),
        ("nan" + row(1)[1:], r"row 2: age must be a number. Received: 'nan'"),
    ],
)
def test_bad_rows(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, [row(0), line]))


def test_damaged_and_absent_files(tmp_path):
    path = write(tmp_path, map(row, range(50)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"census-income.test.gz' must be a complete gzipped text file"):
        read(path)
    path.write_text("text")
    with pytest.raises(ValueError, match="must be a complete gzipped text file"):
        read(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"must hold census-income.data.gz or census-income.test.gz"):
        census_income.load("train", 8, data_dir=tmp_path / "data", manual_dir=tmp_path)


@pytest.mark.skipif(not REAL.is_file(), reason=f"there is no {REAL.name} beside the repository")
def test_the_real_file():
    rows = read(REAL)
    assert len(rows) == 99_762
    assert sum(x["income"] for x in rows) == 6_186
    assert np.mean([x["never_married"] for x in rows]) == pytest.approx(0.4325, abs=1e-4)
    assert max(x["age"] for x in rows) == 90
    stating = {str(value) for x in rows for value in x.values() if "never marr" in str(value).lower()}
    assert not stating
