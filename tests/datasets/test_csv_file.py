import itertools
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.datasets import table
from mtl_zoo.datasets.csv_file import CSVFile

TASKS = [mz.Task.binary("bought"), mz.Task.regression("spent"), mz.Task.classification("colour", 3)]
CLASSES = {"colour": ["red", "green", "blue"]}
SPLITS = ("train", "validation", "test")


def write(folder, lines):
    path = folder / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(count):
    """Return lines with missing labels of every task, and one feature of each kind with empty cells."""
    lines = ["id,hours per week,job,bought,spent,colour"]
    for index in range(count):
        age = "" if index % 7 == 0 else index / 2
        job = ["nurse", "pilot", ""][index % 3]
        bought = ["0", "1", ""][index % 3]
        spent = "" if index % 5 == 0 else 3 * index
        colour = ["red", "green", "blue", ""][index % 4]
        lines.append(f"{index},{age},{job},{bought},{spent},{colour}")
    return lines


@pytest.fixture
def data(tmp_path):
    return CSVFile(write(tmp_path, rows(60)), TASKS, CLASSES, ignore=("id",))


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged."""
    found = []
    monkeypatch.setattr(table.logging, "warning", lambda text, *values: found.append(text % values))
    return found


def columns(dataset):
    """Return all examples of a dataset, as arrays by column and by task."""
    batches = list(dataset.as_numpy_iterator())
    return tuple(
        {name: np.concatenate([batch[part][name] for batch in batches]) for name in batches[0][part]}
        for part in (0, 1)
    )


def test_values_by_hand(tmp_path):
    lines = [
        "\ufeffage,bought,name,colour,id,spent,part\r",
        '31,1,"Doe, Jane",red,1,2.5,test\r',
        ',,"the ""other""\r\none",,2,,test\r',
        "-2,0,,blue,3,-1,train\r",
    ]
    data = CSVFile(write(tmp_path, lines), TASKS, CLASSES, ignore=["id"], split_column="part")
    assert data.bad_rows == []
    assert data.SIZES == {"train": 1, "validation": 0, "test": 2}
    features, labels = columns(data.load("test", 2))
    assert list(features) == ["age", "name"]
    np.testing.assert_array_equal(features["age"], np.array([31, np.nan], "float32"))
    assert features["name"].tolist() == [b"Doe, Jane", b'the "other"\r\none']
    np.testing.assert_array_equal(labels["bought"], [1, -1])
    np.testing.assert_array_equal(labels["spent"], [2.5, np.nan])
    np.testing.assert_array_equal(labels["colour"], [0, -1])
    assert [label.dtype.name for label in labels.values()] == ["int64", "float32", "int64"]
    features, labels = columns(data.load("train", 1))
    assert [features["age"].tolist(), features["name"].tolist()] == [[-2], [b""]]
    assert {name: label.tolist() for name, label in labels.items()} == {
        "bought": [0],
        "spent": [-1],
        "colour": [2],
    }


def test_inputs(data):
    inputs = data.inputs()
    assert {name: (x.shape, x.dtype) for name, x in inputs.items()} == {
        "hours_per_week": ((None, 1), "float32"),
        "job": ((None, 1), "string"),
    }
    assert data.inputs()["job"] is not inputs["job"]


def test_every_row_is_in_one_split(tmp_path):
    data = CSVFile(write(tmp_path, rows(60)), TASKS, CLASSES)
    found = {split: columns(data.load(split, 9))[0]["id"].tolist() for split in SPLITS}
    assert (
        {split: len(ids) for split, ids in found.items()}
        == data.SIZES
        == dict(zip(SPLITS, (42, 9, 9), strict=True))
    )
    for first, second in itertools.combinations(found.values(), 2):
        assert set(first).isdisjoint(second)
    assert sorted(itertools.chain(*found.values())) == list(range(60))


def test_labels_stay_with_their_features(tmp_path):
    data = CSVFile(write(tmp_path, rows(60)), TASKS, CLASSES)
    features, labels = columns(data.load("train", 9))
    index = features["id"].astype(int)
    np.testing.assert_array_equal(labels["bought"], np.array([0, 1, -1])[index % 3])
    np.testing.assert_array_equal(labels["colour"], np.array([0, 1, 2, -1])[index % 4])
    np.testing.assert_array_equal(labels["spent"], np.where(index % 5 == 0, np.nan, 3.0 * index))


def test_splits_and_orders_follow_from_their_seeds(tmp_path):
    path = write(tmp_path, rows(60))

    def order(split_seed=0, seed=0):
        data = CSVFile(path, TASKS, CLASSES, split_seed=split_seed)
        return columns(data.load("train", 9, seed=seed))[0]["id"].tolist()

    assert order() == order()
    assert order(seed=1) != order()
    assert sorted(order(seed=1)) == sorted(order())
    assert sorted(order(split_seed=1)) != sorted(order())


def test_missing_labels_train(data):
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile("adam")
    before = [variable.numpy() for variable in model.trainable_variables]
    history = trainer.fit(
        data.load("train", 7), validation_data=data.load("validation", 7), verbose=0
    ).history
    for task in TASKS:
        assert np.isfinite([history[f"{task.name}_loss"], history[f"val_{task.name}_loss"]]).all()
    moved = [np.any(old != new) for old, new in zip(before, model.trainable_variables, strict=True)]
    assert all(moved)


def test_a_task_is_learned(tmp_path):
    lines = ["x,kind,sum,high"]
    for index in range(400):
        x, kind = index % 20 - 10, index % 2
        lines.append(f"{x},{'ab'[kind]},{x / 10 + 2 * kind},{int(x > 0)}")
    data = CSVFile(write(tmp_path, lines), [mz.Task.regression("sum"), mz.Task.binary("high")])
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile("adam")
    trainer.fit(data.load("train", 14), epochs=8, verbose=0)
    results = trainer.evaluate(data.load("test", 60), return_dict=True, verbose=0)
    assert results["sum_root_mean_squared_error"] < 0.3  # the standard deviation is 1.15
    assert results["high_accuracy"] > 0.9


def test_encoder_is_adapted_on_training_rows_alone(tmp_path):
    lines = ["x,job,y,part"]
    lines += ["1,a,0,train", "3,b,0,train", "500,c,0,test", "700,d,0,validation"]
    data = CSVFile(write(tmp_path, lines), [mz.Task.regression("y")], split_column="part")
    stage = data.encoder()[0]
    inputs = data.inputs()
    model = mz.architectures.hard_sharing(inputs, data.TASKS, [stage])
    normalized = model.get_layer("shared_1_x_normalized")
    assert (float(normalized.mean[0, 0]), float(normalized.variance[0, 0])) == (2, 1)  # of 1 and 3
    assert len(model.get_layer("shared_1_job_embedding").get_weights()[0]) == 3  # a, b and all others


def test_names_of_features(tmp_path):
    lines = ["kg (net),kg net,kg__net_,größe,y", "1,2,3,4,0"]
    data = CSVFile(write(tmp_path, lines), [mz.Task.binary("y")])
    features, _ = next(data.load("train", 1).as_numpy_iterator())
    assert {name: column.tolist() for name, column in features.items()} == {
        "kg__net_": [1],
        "kg_net": [2],
        "kg__net__2": [3],
        "gr__e": [4],
    }
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    assert model(features)["y"].shape == (1, 1)


def test_bad_rows_are_skipped_and_reported_once(tmp_path, warnings):
    lines = rows(60)
    lines[5] = "4,1,nurse,2,3,red"
    lines[10] = "9,1,nurse,1,3"
    lines[20] = "19,1,nurse,1,much,red"
    lines[21] = "20,1,nurse,1,3,pink"
    lines[30] = "29,inf,nurse,1,3,red"
    path = write(tmp_path, lines)
    data = CSVFile(path, TASKS, CLASSES)
    place = f"'{path}', row"
    assert data.bad_rows == [
        f"{place} 6: column 'bought' must be an integer from 0 to 1. Received: '2'",
        f"{place} 11: there must be 6 cells. Received: 5",
        f"{place} 21: column 'spent' must be a finite number. Received: 'much'",
        f"{place} 22: column 'colour' must be one of ['red', 'green', 'blue']. Received: 'pink'",
        f"{place} 31: column 'hours per week' must be a finite number. Received: 'inf'",
    ]
    assert warnings == ["Skipped 5 of 60 rows: " + "; ".join(data.bad_rows[:3])]
    ids = np.concatenate([columns(data.load(split, 9))[0]["id"] for split in SPLITS])
    assert sorted(ids) == sorted(set(range(60)) - {4, 9, 19, 20, 29})


def test_unknown_split_is_a_bad_row(tmp_path, warnings):
    lines = ["x,y,part", "1,0,train", "2,0,dev", "3,1,test"]
    data = CSVFile(write(tmp_path, lines), [mz.Task.binary("y")], split_column="part")
    assert data.SIZES == {"train": 1, "validation": 0, "test": 1}
    assert "row 3: column 'part' must be one of ['train', 'validation', 'test']" in warnings[0]
    with pytest.raises(ValueError, match="Split 'validation' must have at least one row"):
        data.load("validation", 1)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["y", "1"], {}, r"one column of features beside \['y'\]. Received columns: \['y'\]"),
        (["y,id", "1,2"], {"ignore": ["id"]}, r"one column of features beside \['id', 'y'\]"),
        (["y,x", "1,2"], {"ignore": ["id"]}, r"people.csv' must have the columns \['id'\]"),
        (["y;x", "1;2"], {}, r"must have the columns \['y'\]. Received columns: \['y;x'\]"),
        (["y,x", "1,2"], {"split_column": "part"}, r"people.csv' must have the columns \['part'\]"),
        (["y,x", "1,2", "2,2", "2,2"], {}, r"2 of 3 are bad, the first is '.*people.csv', row 3: column 'y'"),
        (["y,x", "5,2"], {}, r"1 of 1 are bad, the first is '.*people.csv', row 2: column 'y'"),
        (["y,x"], {}, "at least one row below"),
        (["y,x,x", "1,2,3"], {}, "people.csv': every column must have a name of its own"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, lines, options, message):
    with pytest.raises(ValueError, match=message):
        CSVFile(write(tmp_path, lines), [mz.Task.binary("y")], **options)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.csv' must be a file that can be read"):
        CSVFile(pathlib.Path(tmp_path, "none.csv"), TASKS)


@pytest.mark.parametrize(
    ("split", "batch_size", "message"), [("dev", 1, "Received: split='dev'"), ("test", 0, "batch_size=0")]
)
def test_load_is_checked(data, split, batch_size, message):
    with pytest.raises(ValueError, match=message):
        data.load(split, batch_size)


def test_remainder_and_number_of_batches(data):
    assert data.load("train", 10).cardinality() == 5
    batches = list(data.load("train", 10, drop_remainder=True))
    assert [len(labels["bought"]) for _, labels in batches] == [10] * 4
    assert isinstance(data.load("train", 10), tf.data.Dataset)
