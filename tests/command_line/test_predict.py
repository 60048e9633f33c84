"""From a table on disk to answers for new rows by three commands, and what is said of every mistake."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import Run
from tests.command_line.harness import error_line, train

HEADER = "id,age,job,shop no,bought,spent,colour"
NEW = ["job,age,shop no", "nurse,30,1", "astronaut,,2", ",70,9", '"Doe, Jane",45,1']
TASKS = ["--task=bought:binary", "--task=spent:regression", "--task=colour:classification"]
TRAIN = ["--ignore=id", "--categories=shop no", "--epochs=1", "--batch_size=32", "--quiet"]


def lines(number=60):
    for i in range(number):
        age = 20 + i % 50
        colour = ["red", "green", "blue", ""][i % 4]
        job, bought = ["nurse", "pilot"][i % 2], "yes" if age > 40 else "no"
        yield f"{i},{age},{job},{i % 3},{bought},{age / 10},{colour}"


def write(path, rows):
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a table, a run on it and an export of the run, by three commands."""
    folder = tmp_path_factory.mktemp("people")
    people = write(folder / "people.csv", [HEADER, *lines()])
    assert cli.main(["train", f"--csv={people}", *TASKS, *TRAIN, f"--run_dir={folder}/run"]) == 0
    assert cli.main(["export", f"--run_dir={folder}/run", f"--output={folder}/exported/1"]) == 0
    write(folder / "new.csv", NEW)
    return folder


def predict(folder, *arguments, rows="new.csv"):
    return cli.main(["predict", f"--input={folder / rows}", *arguments])


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_answers_are_those_of_the_model_in_the_order_of_the_rows(folder, capsys):
    assert predict(folder, f"--run_dir={folder}/run", f"--output={folder}/a.csv") == 0
    assert f"Answers of 4 rows: {folder}/a.csv\n" in capsys.readouterr().out
    found = read(folder / "a.csv")
    assert [row["row"] for row in found] == ["2", "3", "4", "5"]
    logits = Run(folder / "run").model(
        {
            "age": tf.constant([[30.0], [np.nan], [70.0], [45.0]]),
            "job": tf.constant([["nurse"], ["another"], [""], ["none"]]),
            "shop_no": tf.constant([[1], [2], [-5], [1]], "int64"),
        }
    )
    probabilities = np.array(tf.nn.softmax(logits["colour"]))
    names = ["blue", "green", "red"]
    for row, bought, spent, colour in zip(
        found, np.array(tf.sigmoid(logits["bought"])), np.array(logits["spent"]), probabilities, strict=True
    ):
        assert float(row["bought_probability_yes"]) == pytest.approx(bought.item(), rel=1e-5)
        assert row["bought"] == ("yes" if bought > 0.5 else "no")
        assert float(row["spent"]) == pytest.approx(spent.item(), rel=1e-5)
        assert row["colour"] == names[colour.argmax()]
        given = [float(row[f"colour_probability_{name}"]) for name in names]
        np.testing.assert_allclose(given, colour, rtol=1e-5)


def test_an_export_answers_the_same_and_labels_are_not_read(folder):
    rows = ["bought," + NEW[0], *("?!," + row for row in NEW[1:])]
    write(folder / "labelled.csv", rows)
    arguments = [f"--export={folder}/exported/1", f"--output={folder}/b.csv"]
    assert predict(folder, *arguments, rows="labelled.csv") == 0
    assert predict(folder, f"--run_dir={folder}/run", f"--output={folder}/c.csv") == 0
    for ours, theirs in zip(read(folder / "b.csv"), read(folder / "c.csv"), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            expected = theirs[name]
            assert value == expected or float(value) == pytest.approx(float(expected), rel=1e-5)


def test_signatures_take_columns_of_both_ranks(folder):
    signature = tf.saved_model.load(str(folder / "exported" / "1")).signatures["serving_default"]
    columns = {
        "age": tf.constant([30.0, 50.0]),
        "job": tf.constant(["nurse", "pilot"]),
        "shop_no": tf.constant([1, 2], "int64"),
    }
    flat = signature(**columns)
    columns = signature(**{name: x[:, None] for name, x in columns.items()})
    for name, answer in columns.items():
        assert flat[name].shape == answer.shape
        np.testing.assert_array_equal(flat[name], answer)
    assert "bought_class_name" in flat


def test_the_table_is_not_needed_any_more(folder, monkeypatch):
    (folder / "people.csv").rename(folder / "gone.csv")
    try:
        assert predict(folder, f"--run_dir={folder}/run", f"--output={folder}/d.csv") == 0
        assert cli.main(["evaluate", f"--run_dir={folder}/run"]) == 1
    finally:
        (folder / "gone.csv").rename(folder / "people.csv")
    assert cli.main(["evaluate", f"--run_dir={folder}/run", "--quiet"]) == 0


MISTAKES = [
    (["id,age", "1,2"], "'{0}/m.csv' must have the columns ['job', 'shop no']"),
    ([NEW[0], "nurse,old,1"], "'{0}/m.csv', row 2: column 'age' must be a finite number. Received: 'old'. "),
    ([NEW[0], "nurse,30,1", "nurse"], "'{0}/m.csv', row 3: there must be 3 cells. Received: 1. Correct it; "),
    ([NEW[0]], "'{0}/m.csv' must have at least one row"),
    ([""], "'{0}/m.csv' must begin with a row of column names"),
    ([NEW[0].replace(",", ";")], "'{0}/m.csv' must have the columns ['age', "),
    (["job,age,job", "a,b,c"], "'{0}/m.csv': every column must have a name of its own"),
]


@pytest.mark.parametrize(("rows", "message"), MISTAKES)
def test_a_mistake_in_the_rows_is_one_line(folder, capsys, rows, message):
    write(folder / "m.csv", rows)
    assert predict(folder, f"--run_dir={folder}/run", f"--output={folder}/m1.csv", rows="m.csv") == 1
    assert error_line(capsys).startswith("mtl-zoo: " + message.format(folder))
    assert not (folder / "m1.csv").exists()


WRONG_FLAGS = [
    (["--output={0}/x.csv"], 2, "Either --run_dir or --export must be given."),
    (["--run_dir={0}/run", "--export={0}/exported/1", "--output={0}/x.csv"], 2, "Either --run_dir or"),
    (["--run_dir={0}/run", "--output={0}/x.parquet"], 2, "--output must end with .csv"),
    (["--run_dir={0}/run", "--output={0}/none/x.csv"], 1, "--output must be in a directory that is there"),
    (["--run_dir={0}/run", "--output={0}/new.csv"], 1, "must not exist, unless --overwrite"),
    (["--run_dir={0}/run", "--images={0}", "--output={0}/x.csv"], 2, "--images must come with a training on"),
    (["--run_dir={0}/none", "--output={0}/x.csv"], 1, "must hold a finished run"),
    (["--export={0}/none", "--output={0}/x.csv"], 1, "There must be an exported model at"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG_FLAGS)
def test_a_mistake_in_the_flags_is_one_line(folder, capsys, arguments, code, message):
    before = (folder / "new.csv").read_text()
    assert predict(folder, *(argument.format(folder) for argument in arguments)) == code
    assert message in error_line(capsys)
    assert not (folder / "x.csv").exists()
    assert (folder / "new.csv").read_text() == before


def test_a_run_of_another_dataset_knows_no_columns(run_dir, folder, capsys):
    assert train(run_dir, "--epochs=1") == 0
    capsys.readouterr()
    assert predict(folder, f"--run_dir={run_dir}", f"--output={folder}/x.csv") == 1
    assert "must be of a training with --csv or --images" in error_line(capsys)


TRAINING = [
    ([], 2, "--task must say what is to be predicted, such as --task=bought:binary; `mtl-zoo inspect --csv="),
    (["--task=bough:binary"], 1, "must have the columns ['bough']. Received columns: ['id', 'age', 'job', "),
    (["--task=colour:binary"], 1, "column 'colour' must hold two different labels for a binary task"),
    (["--task=spent:classification"], 1, "or its task be a regression. Received: 50 different"),
    (["--task=job:regression"], 1, "column 'job' must hold numbers; words are labels of a binary task or a"),
    (["--task=spent:regresion"], 1, "The kind of a task must be one of classification, binary, "),
    (["--task=shop no:binary"], 1, "--task=shop_no:binary:column='shop no'"),
    (["--task=spent:regression:units=2"], 1, "must have the columns ['spent_0', 'spent_1']"),
    (["--task=bought:binary", "--dataset=multi_digits"], 2, "--dataset must not come with files of your own"),
    (["--task=bought:binary", "--ignore=none"], 1, "must have the columns ['none']"),
    (["--task=bought:binary", "--numbers=job"], 1, "row 2: column 'job' must be a finite number"),
    (["--task=bought:binary", "--task=bought:binary"], 1, "Every task must have a name of its own"),
    (
        ["--task=bought:binary", "--encoder=mlp:units=4"],
        1,
        "The encoder must suit the inputs of the dataset, columns",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "message"), TRAINING)
def test_a_mistake_before_training_is_one_line_and_leaves_nothing(folder, capsys, arguments, code, message):
    path = f"--csv={folder / 'people.csv'}"
    assert cli.main(["train", path, f"--run_dir={folder}/bad", *arguments]) == code
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if line.startswith("mtl-zoo: ")] == err[-1:]
    assert message in err[-1]
    assert not (folder / "bad").exists()


def test_images_from_files_to_answers(tmp_path):
    for name, value in (("dark", 0), ("light", 255)):
        keras.utils.save_img(tmp_path / f"{name}.png", np.full((8, 8, 3), value, "uint8"), scale=False)
    labels = write(tmp_path / "labels.csv", ["file,kind", *["dark.png,night", "light.png,day"] * 10])
    source = [f"--images={tmp_path}", f"--labels={labels}", "--task=kind:classification", "--image_size=8"]
    run = f"--run_dir={tmp_path}/run"
    assert cli.main(["train", *source, run, "--epochs=1", "--encoder=mlp:units=[4]", "--quiet"]) == 0
    write(tmp_path / "new.csv", ["file", "light.png", "dark.png"])
    assert predict(tmp_path, run, f"--output={tmp_path}/a.csv") == 0
    assert [list(row) for row in read(tmp_path / "a.csv")] == [
        ["row", "kind", "kind_probability_day", "kind_probability_night"]
    ] * 2
    assert cli.main(["export", run, f"--output={tmp_path}/exported/1"]) == 0
    assert predict(tmp_path, f"--export={tmp_path}/exported/1", f"--output={tmp_path}/b.csv") == 0
    assert [row["kind"] for row in read(tmp_path / "a.csv")] == [r["kind"] for r in read(tmp_path / "b.csv")]
