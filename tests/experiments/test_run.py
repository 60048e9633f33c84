import dataclasses

import keras
import numpy as np
import pytest

from mtl_zoo import files
from mtl_zoo.experiments import Recipe, Run, run

RECIPE = Recipe(dataset="scaled_regression", task_names=["small"], seed=1)


def small_model():
    x = RECIPE.inputs()
    return keras.Model(x, {"small": keras.layers.Dense(100)(x)})


def saved(path, model=None):
    RECIPE.write(path / run.CONFIG)
    Run(path).save_model(model or small_model())
    return Run(path)


def test_free_directories(tmp_path):
    Run(tmp_path).check_free()
    Run(tmp_path / "new").check_free()


def test_directory_in_use(tmp_path):
    (tmp_path / run.CONFIG).touch()
    Run(tmp_path).check_free(overwrite=True)
    with pytest.raises(FileExistsError, match="unless --overwrite"):
        Run(tmp_path).check_free()


def test_directory_of_something_else_is_never_free(tmp_path):
    (tmp_path / run.LOGS).mkdir()
    with pytest.raises(FileExistsError, match="must be new, empty, or an earlier run"):
        Run(tmp_path).check_free(overwrite=True)


def test_saved_run_loads(tmp_path):
    model = small_model()
    found = saved(tmp_path, model)
    assert found.recipe == RECIPE
    assert [task.name for task in found.tasks] == ["small"]
    assert {path.name for path in tmp_path.iterdir()} == {run.CONFIG, run.MODEL}  # as of an earlier version
    x = np.ones((1, *model.input.shape[1:]))
    np.testing.assert_array_equal(found.model(x)["small"], model(x)["small"])
    assert found.model is found.model
    assert found.metrics == {}


@pytest.mark.parametrize(
    ("config", "error"),
    [(None, FileNotFoundError), ("{", ValueError), ("{}", ValueError), ('{"a": 1}', ValueError)],
)
def test_what_is_no_run_is_refused(tmp_path, config, error):
    (tmp_path / run.MODEL).write_text("no model")
    if config is not None:
        (tmp_path / run.CONFIG).write_text(config)
    with pytest.raises(error):
        _ = Run(tmp_path).model
    with pytest.raises(error):
        _ = Run(tmp_path).recipe


def test_what_there_was_no_choice_of_has_its_default_but_all_else_is_given(tmp_path):
    config = RECIPE.get_config()
    old = {key: value for key, value in config.items() if key not in run.ADDED}
    files.write_json(tmp_path / run.CONFIG, old | {"versions": {"keras": "3.0"}})
    assert Run(tmp_path).recipe == RECIPE
    for key in old:
        files.write_json(tmp_path / run.CONFIG, {name: old[name] for name in old if name != key})
        with pytest.raises(ValueError, match=f"'{key}' in .* must be given.* Received: no '{key}'"):
            _ = Run(tmp_path).recipe
    files.write_json(tmp_path / run.CONFIG, config | {"optimiser": "sgd"})
    with pytest.raises(ValueError, match=r"no other keys than dataset, .* Received: \['optimiser'\]"):
        _ = Run(tmp_path).recipe


def test_a_finished_run_has_the_checksums_of_what_is_read_again(tmp_path):
    saved(tmp_path).finish({"test": {"y_loss": 0.5, "z_loss": float("nan")}})
    lines = (tmp_path / run.SUMS).read_text().splitlines()
    assert lines == [f"{files.sha256(tmp_path / part)}  {part}" for part in run.SUMMED]
    assert Run(tmp_path).metrics["test"] == {"y_loss": 0.5, "z_loss": None}
    _ = Run(tmp_path).model
    content = bytearray((tmp_path / run.MODEL).read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / run.MODEL).write_bytes(content)
    for name in ("model", "recipe", "tasks"):
        with pytest.raises(ValueError, match=r"model\.keras in '.*' must be what training wrote"):
            getattr(Run(tmp_path), name)
    Run(tmp_path).save_model(small_model())
    assert not (tmp_path / run.SUMS).exists()


def test_a_run_is_complete_when_all_is_there_and_no_backup(tmp_path):
    found = saved(tmp_path)
    found.finish({"test": {}})
    assert not found.is_complete
    (tmp_path / run.HISTORY).write_text("epoch,loss\n1,nan\n")
    assert found.is_complete
    assert found.history["epoch"] == [1]
    assert np.isnan(found.history["loss"]).all()
    (tmp_path / run.BACKUP).mkdir()
    assert found.is_interrupted
    assert not found.is_complete


@pytest.mark.parametrize("text", ["", "epoch,loss\n1,x\n", "epoch,loss\n1\n"])
def test_a_history_that_is_no_table(tmp_path, text):
    (tmp_path / run.HISTORY).write_text(text)
    with pytest.raises(ValueError, match=r"history.csv' must be a table of numbers\. .*--overwrite"):
        _ = Run(tmp_path).history


def test_a_model_of_other_tasks_is_refused(tmp_path):
    found = saved(tmp_path)
    dataclasses.replace(RECIPE, task_names=["large"]).write(tmp_path / run.CONFIG)
    with pytest.raises(ValueError, match=r"must be of one run\. .* Received: Every task must name an output"):
        _ = found.model


def test_information_names_the_run_from_where_the_artefact_is(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    information = saved(tmp_path / "runs" / "a").information(tmp_path / "exported" / "1")
    assert information == {
        "dataset": "scaled_regression",
        "architecture": "hard_sharing",
        "run_dir": "../runs/a",
        "metrics": {},
    }
