import json
import shutil

import pytest

from mtl_zoo import datasets
from mtl_zoo.experiments import Recipe, Run
from mtl_zoo.relations import recommend as recommend_function
from mtl_zoo.relations.group import group
from mtl_zoo.relations.recommend import recommend
from mtl_zoo.relations.task_matrix import TaskMatrix
from tests.command_line.harness import tiny


@pytest.fixture(scope="module", autouse=True)
def _tiny_dataset():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "tiny", tiny(), raising=False)
        yield


def recipe(**values):
    return Recipe(**{"dataset": "tiny", "epochs": 2, "batch_size": 4, "balancer": "dwa"} | values)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A finished recommendation."""
    path = tmp_path_factory.mktemp("measured") / "run"
    return path, recommend(recipe(), path, budget=2, every=1, quiet=True)


def test_writes_the_run_the_matrix_and_a_recipe_per_network(measured):
    path, found = measured
    run, matrix = Run(path), TaskMatrix.read(path / "affinity.json")
    assert recommend is recommend_function
    assert run.is_complete
    assert run.recipe == recipe(balancer="equal")
    assert (path / "affinity.png").stat().st_size > 1000
    assert matrix.names == ("kind", "size")
    assert found == group(matrix, 2)
    written = json.loads((path / "groups.json").read_text())
    assert [tuple(network["serves"]) for network in written["networks"]] == list(found.serves)
    assert written["score"] == pytest.approx(found.score)
    for network, tasks in zip(written["networks"], found.groups, strict=True):
        again = Recipe.read(path / network["recipe"])
        assert again == recipe(balancer="equal", task_names=tasks)


def test_another_budget_costs_no_training(measured, tmp_path, monkeypatch):
    path = shutil.copytree(measured[0], tmp_path / "run")
    monkeypatch.setattr("mtl_zoo.experiments.training._prepare", None)
    (path / "recipes" / "network_9.json").touch()
    assert recommend(recipe(balancer="famo"), path, budget=1, every=1).groups == (("kind", "size"),)
    assert [file.name for file in (path / "recipes").iterdir()] == ["network_1.json"]
    for other in ({"recipe": recipe(epochs=3)}, {"every": 2}):
        with pytest.raises(FileExistsError, match="unless --overwrite"):
            recommend(**{"recipe": recipe(), "run_dir": path, "every": 1} | other)


def test_damaged_files_are_told(measured, tmp_path):
    path = shutil.copytree(measured[0], tmp_path / "run")
    (path / "affinity.json").write_text("{}")
    with pytest.raises(ValueError, match=r"'quantity' in '.*affinity.json' must be a string"):
        recommend(recipe(), path, every=1)
    (path / "groups.json").write_text('{"every": "1"}')
    with pytest.raises(ValueError, match=r"'every' in '.*groups.json' must be a positive integer"):
        recommend(recipe(), path, every=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task_names": ["size"]}, r"two tasks at least\. Received: \['size'\]"),
        ({"strategy": "multi_worker"}, "`strategy` must be one of a single process"),
        ({"recipe": "tiny"}, "`recipe` must be an instance of `Recipe`"),
        ({"budget": 0}, "`budget` must be an integer of at least 1"),
        ({"every": 0}, "`every` must be an integer of at least 1"),
        ({"run_dir": ""}, "`path` must be a path"),
        ({"architecture": "single_task"}, "variables that two tasks share"),
    ],
)
def test_what_is_wrong_leaves_nothing(tmp_path, values, message):
    values = dict(values)
    given = {"recipe": None, "run_dir": tmp_path / "run", "quiet": True}
    given |= {key: values.pop(key) for key in given.keys() | {"budget", "every"} if key in values}
    with pytest.raises((TypeError, ValueError), match=message):
        recommend(**given | {"recipe": given["recipe"] or recipe(**values)})
    assert not any(tmp_path.iterdir())
