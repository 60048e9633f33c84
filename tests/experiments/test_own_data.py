import dataclasses
import json

import keras
import numpy as np
import pytest

from mtl_zoo.experiments import Recipe
from mtl_zoo.experiments.own_data import OwnData
from mtl_zoo.training.border import Border

TEXT = (
    "csv_file:path={path},tasks=['bought:binary', 'job:classification'],"
    "missing={{'bought': ['?'], 'age': ['-1']}}"
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "people, n=1.csv"
    rows = [f"{20 + i},{'yes' if i % 2 else 'no'},{'abc'[i % 3]},red" for i in range(20)]
    path.write_text("\n".join(["age in years,bought,job,colour", *rows]).replace("age in years", "age"))
    return path


@pytest.fixture
def recipe(path):
    return Recipe(dataset=TEXT.format(path=repr(str(path))), batch_size=4)


def test_a_recipe_holds_what_reading_told(recipe, path, tmp_path):
    text = recipe.dataset
    assert "'bought:binary:classes=[\\'no\\', \\'yes\\']'" in text or "classes=['no', 'yes']" in text
    assert "columns={'age': 'numbers float32', 'colour': 'categories string'}" in text
    assert [task.name for task in recipe.tasks()] == ["bought", "job"]
    assert recipe.data.class_names == {"bought": ["no", "yes"], "job": ["a", "b", "c"]}
    recipe.write(tmp_path / "recipe.json")
    path.unlink()
    again = Recipe.read(tmp_path / "recipe.json")
    assert again == recipe
    assert again.hash == recipe.hash
    assert {name: (x.shape, x.dtype) for name, x in again.inputs().items()} == {
        "age": ((None, 1), "float32"),
        "colour": ((None, 1), "string"),
    }
    with pytest.raises(FileNotFoundError, match=r"people, n=1\.csv' must be a file"):
        again.load("train")


def test_it_is_the_data_of_the_file(recipe):
    inputs, labels = next(iter(recipe.load("train")))
    assert {name: x.shape for name, x in inputs.items()} == {"age": (4, 1), "colour": (4, 1)}
    ages = inputs["age"].numpy().ravel()
    np.testing.assert_array_equal(labels["bought"], ages % 2)
    np.testing.assert_array_equal(labels["job"], (ages - 20) % 3)
    trainer = recipe.trainer()
    trainer.fit(recipe.load("train"), verbose=0)


def test_what_it_takes_to_answer_new_rows_is_json(recipe):
    assert recipe.data.about == json.loads(json.dumps(recipe.data.about))
    assert recipe.data.about == {
        "kind": "csv_file",
        "columns": {"age": "numbers float32", "colour": "categories string"},
        "missing": {"age": ["-1"]},
    }


def test_a_file_that_changed_is_refused(recipe, path):
    again = dataclasses.replace(recipe, epochs=3)
    with path.open("a") as file:
        file.write("\n30,yes,a,red")
    with pytest.raises(ValueError, match="must be what training read, or rows of the test split would be"):
        again.load("test")
    assert Recipe(dataset=TEXT.format(path=repr(str(path)))).hash != again.hash


def test_mistakes_are_those_of_the_file(path):
    for tasks, message in ((["none:binary"], "must have the columns"), ([], "at least one task")):
        with pytest.raises(ValueError, match=message):
            Recipe(dataset=f"csv_file:path={str(path)!r},tasks={tasks}")
    with pytest.raises(ValueError, match="This dataset takes path=<required>,"):
        Recipe(dataset="csv_file:tasks=['a:binary']")
    with pytest.raises(ValueError, match="takes no --manual_dir"):
        Recipe(dataset=TEXT.format(path=repr(str(path))), manual_dir="x")


def test_images(tmp_path):
    keras.utils.save_img(tmp_path / "a.png", np.zeros((8, 8, 3), "uint8"))
    table = tmp_path / "labels.csv"
    table.write_text("file,kind\n" + "a.png,cat\na.png,dog\n" * 10)
    folder = f"folder={str(tmp_path)!r},labels={str(table)!r}"
    recipe = Recipe(dataset=f"image_folder:{folder},tasks=['kind:classification'],size=(4, 6)", batch_size=2)
    assert isinstance(recipe.data, OwnData)
    assert recipe.inputs().shape == (None, 4, 6, 3)
    images, labels = next(iter(recipe.load("train")))
    assert (images.shape, labels["kind"].shape) == ((2, 4, 6, 3), (2,))
    assert recipe.data.about == {
        "kind": "image_folder",
        "folder": str(tmp_path),
        "file_column": "file",
        "size": [4, 6],
        "missing": None,
    }
    assert len(recipe.data.encoder()) == 3


def test_a_task_on_the_rows_of_another_one(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("age,click,buy\n" + "30,1,1\n31,0,1\n32,1,\n33,,0\n" * 10)
    tasks = "['click:binary', 'buy:binary:where=click']"
    recipe = Recipe(dataset=f"csv_file:path={str(path)!r},tasks={tasks}", task_names=("buy",), batch_size=8)
    (buy,) = recipe.tasks()
    assert str(buy.where) == "click"
    labels = recipe.load("train")
    assert "buy: labels of task 'buy' in 20 rows where click, 10 missing" in capsys.readouterr().err
    _, y = next(iter(Border([buy]).admit(labels)[0]))
    there = (y["click"].numpy() == 1) & (y["buy"].numpy() >= 0)
    assert 0 < there.sum() < 8
    np.testing.assert_array_equal(buy.item_weights(buy.labels_of(y)), there)
    with pytest.raises(ValueError, match=r"must name a task\. Received: where='clack'"):
        Recipe(dataset=f"csv_file:path={str(path)!r},tasks={tasks.replace('=click', '=clack')}")
