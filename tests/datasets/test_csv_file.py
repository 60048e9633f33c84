import itertools
import pathlib

import keras
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
    """Return all examples of a dataset, as arrays `[rows]` by column and by task."""
    batches = list(dataset.as_numpy_iterator())
    features, labels = (
        {name: np.concatenate([batch[part][name] for batch in batches]) for name in batches[0][part]}
        for part in (0, 1)
    )
    return {name: column[:, 0] for name, column in features.items()}, labels


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
        "kg__net_": [[1]],
        "kg_net": [[2]],
        "kg__net__2": [[3]],
        "gr__e": [[4]],
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


TWO = [mz.Task.regression("y"), mz.Task.binary("positive")]


def write_sum(folder, marker=None):
    """Write `y = a - b` and its sign, with a marker in place of the first `a`."""
    a, b = np.random.default_rng(0).normal(size=(2, 400)).round(4)
    lines = [f"{x},{z},{x - z:.4f},{x > z}" for x, z in zip(a, b, strict=True)]
    if marker is not None:
        lines[0] = marker + lines[0][lines[0].index(",") :]
    return write(folder, ["a,b,y,positive", *lines])


@pytest.mark.parametrize("marker", ["", "NA", "NaN", "null", "?", "None"])
def test_a_marker_of_absence_leaves_a_column_numeric(tmp_path, warnings, marker):
    data = CSVFile(write_sum(tmp_path, marker), TWO)
    assert {name: x.dtype for name, x in data.inputs().items()} == {"a": "float32", "b": "float32"}
    a = np.concatenate([columns(data.load(split, 100))[0]["a"] for split in SPLITS])
    assert np.isnan(a).sum() == 1
    assert sum(data.SIZES.values()) == 400
    assert not warnings


def test_a_column_with_a_missing_number_is_learned(tmp_path):
    data = CSVFile(write_sum(tmp_path, "NA"), TWO)
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile(keras.optimizers.Adam(0.01))
    trainer.fit(data.load("train", 32), epochs=10, verbose=0)
    found = trainer.evaluate(data.load("validation", 60), return_dict=True, verbose=0)
    assert found["y_root_mean_squared_error"] ** 2 < 0.02 * 2  # R2 over 0.98; as categories 0.44


IDS = [16777216, 16777217, 16777218, 16777219]


@pytest.mark.parametrize("options", [{}, {"categories": ["user"]}])
def test_ids_are_kept_apart_from_the_file_to_the_exported_model(tmp_path, options):
    lines = [f"{user},{user % 2},{part}" for part in SPLITS for user in IDS * 8]
    data = CSVFile(
        write(tmp_path, ["user,odd,part", *lines]), [mz.Task.binary("odd")], split_column="part", **options
    )
    assert data.inputs()["user"].dtype == "int64"
    features, labels = columns(data.load("validation", 32))
    assert features["user"].dtype == "int64"
    np.testing.assert_array_equal(features["user"], IDS * 8)
    np.testing.assert_array_equal(labels["odd"], np.array(IDS * 8) % 2)
    keras.utils.set_random_seed(0)
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder())
    trainer = mz.Trainer(model, data.TASKS)
    trainer.compile(keras.optimizers.Adam(0.05))
    trainer.fit(data.load("train", 32), epochs=20, verbose=0)
    assert trainer.evaluate(data.load("test", 32), return_dict=True, verbose=0)["odd_accuracy"] == 1
    mz.exporting.saved_model(model, data.TASKS, tmp_path / "1")
    signature = tf.saved_model.load(tmp_path / "1").signatures["serving_default"]
    assert signature.structured_input_signature[1]["user"].dtype == tf.int64
    odd = signature(user=tf.constant([[user] for user in IDS], "int64"))["odd"].numpy().reshape(-1)
    np.testing.assert_array_equal(odd > 0.5, [False, True, False, True])


def test_wide_integers_that_are_numbers_train_exactly(tmp_path):
    lines = [f"{1_700_000_000 + 7 * index},{index}" for index in range(60)]
    data = CSVFile(write(tmp_path, ["t,y", *lines]), [mz.Task.regression("y")])
    assert data.inputs()["t"].dtype == "int64"
    model = mz.architectures.hard_sharing(data.inputs(), data.TASKS, data.encoder()[:1])
    features, labels = columns(data.load("train", 60))
    normalized = keras.Model(model.inputs, model.get_layer("shared_1_t_normalized").output)
    y = labels["y"].astype("float64")
    found = normalized([tf.constant(features["t"][:, None])])[:, 0]
    np.testing.assert_allclose(found, (y - y.mean()) / y.std(), rtol=1e-5, atol=1e-6)


def test_kinds_can_be_overruled(tmp_path, warnings):
    lines = ["shop,age,zip,y", "3,31,02134,0", "5,x,10001,1", "NA,44,00501,1", "3,45,9,0"]
    path = write(tmp_path, lines)
    tasks = [mz.Task.binary("y")]
    data = CSVFile(path, tasks, categories=["shop", "zip"], numbers=["age"])
    assert data.bad_rows == [f"'{path}', row 3: column 'age' must be a finite number. Received: 'x'"]
    assert {name: x.dtype for name, x in data.inputs().items()} == {
        "shop": "int64",
        "age": "float32",
        "zip": "string",
    }
    model = mz.architectures.hard_sharing(data.inputs(), tasks, data.encoder())
    names = [layer.name for layer in model.layers]
    assert {"shared_1_shop_embedding", "shared_1_zip_embedding", "shared_1_age_normalized"} <= set(names)
    data = CSVFile(path, tasks, missing=["x"], categories=["shop"])
    assert {name: x.dtype for name, x in data.inputs().items()} == {
        "shop": "string",  # NA is a word now
        "age": "float32",
        "zip": "float32",
    }
    with pytest.raises(ValueError, match="`categories` and `numbers` must name columns of features"):
        CSVFile(path, tasks, categories=["y"])
    with pytest.raises(ValueError, match="`categories` and `numbers` must name columns of features"):
        CSVFile(path, tasks, ignore=["shop"], numbers=["shop"])


def test_what_was_decided_is_printed_once(tmp_path, capsys):
    lines = ["id,hours per week,job,shop,y,z_0,z_1,part"]
    lines += ["1,31.5,nurse,3,0,1,2,train", "2,NA,pilot,4,,1,NA,train", "3,20,,3,1,,2,test"]
    path = write(tmp_path, lines)
    tasks = [mz.Task.binary("y"), mz.Task.regression("z", 2)]
    data = CSVFile(path, tasks, ignore=["id"], split_column="part", categories=["shop"])
    assert capsys.readouterr() == ("", "")
    data.load("train", 2)
    data.load("test", 1)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"'{path}': 2 train, 0 validation, 1 test",
        "  id: ignored",
        "  hours per week: input 'hours_per_week', numbers from 20 to 31.5, 1 missing",
        "  job: categories: 2 strings, 'nurse', 'pilot', 1 missing, no value twice",
        "  shop: categories: 2 integers (int64), 3, 4",
        "  y: labels of task 'y', 1 missing",
        "  z_0: labels of task 'z', 1 missing",
        "  z_1: labels of task 'z', 1 missing",
        "  part: splits",
    ]


def test_a_nearly_numeric_column_is_warned_of(tmp_path, warnings):
    path = write_sum(tmp_path, "1.5 kg")
    assert CSVFile(path, TWO).inputs()["a"].dtype == "string"
    assert len(warnings) == 1
    assert "column 'a' is nearly numeric" in warnings[0]
    assert "1 of 400 values are no numbers (row 2: '1.5 kg')" in warnings[0]
