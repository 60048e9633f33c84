import json

import keras
import numpy as np
import pytest

from mtl_zoo import files
from mtl_zoo.experiments import run


def test_free_directories(tmp_path):
    run.check_free(tmp_path)
    run.check_free(tmp_path / "new")


def test_directory_in_use(tmp_path):
    (tmp_path / run.CONFIG).touch()
    run.check_free(tmp_path, overwrite=True)
    with pytest.raises(FileExistsError, match="unless --overwrite"):
        run.check_free(tmp_path)


def test_directory_of_something_else_is_never_free(tmp_path):
    (tmp_path / run.LOGS).mkdir()
    with pytest.raises(FileExistsError, match="must be new, empty, or an earlier run"):
        run.check_free(tmp_path, overwrite=True)


def test_record_begins_after_the_first_epoch(tmp_path):
    (tmp_path / run.METRICS).write_text("{}")
    (tmp_path / run.LOGS).mkdir()
    (tmp_path / "notes.txt").touch()
    record = run.Record(tmp_path, {"seed": 1})
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    record.set_model(model)
    assert len(list(tmp_path.iterdir())) == 3
    record.on_epoch_end(0, {"loss": 2.0, "val_loss": 3.0})
    record.on_epoch_end(1, {"loss": 1.0, "val_loss": 2.5})
    record.on_train_end()
    assert {path.name for path in tmp_path.iterdir()} == {run.CONFIG, run.HISTORY, run.LOGS, "notes.txt"}
    assert json.loads((tmp_path / run.CONFIG).read_text()) == {"seed": 1}
    assert (tmp_path / run.HISTORY).read_text().splitlines() == [
        "epoch,loss,val_loss",
        "1,2.0,3.0",
        "2,1.0,2.5",
    ]


def test_saved_run_loads(tmp_path):
    x = keras.Input((2,))
    model = keras.Model(x, {"y": keras.layers.Dense(1)(x)})
    files.write_json(tmp_path / run.CONFIG, {"seed": 1})
    run.save_model(model, tmp_path)
    config, loaded = run.load(tmp_path, {"seed": files.COUNT})
    assert config == {"seed": 1}
    assert {path.name for path in tmp_path.iterdir()} == {run.CONFIG, run.MODEL}  # as of an earlier version
    np.testing.assert_array_equal(loaded(np.ones((1, 2)))["y"], model(np.ones((1, 2)))["y"])


@pytest.mark.parametrize(
    ("config", "error"),
    [(None, FileNotFoundError), ("{", ValueError), ("{}", ValueError), ('{"a": 1}', ValueError)],
)
def test_what_is_no_run_is_refused(tmp_path, config, error):
    (tmp_path / run.MODEL).write_text("no model")
    if config is not None:
        (tmp_path / run.CONFIG).write_text(config)
    with pytest.raises(error):
        run.load(tmp_path, {"a": files.TEXT})


def test_a_finished_run_has_the_checksums_of_what_is_read_again(tmp_path):
    x = keras.Input((2,))
    run.save_model(keras.Model(x, {"y": keras.layers.Dense(1)(x)}), tmp_path)
    files.write_json(tmp_path / run.CONFIG, {})
    run.finish(tmp_path, {"test": {"y_loss": 0.5, "z_loss": float("nan")}})
    lines = (tmp_path / run.SUMS).read_text().splitlines()
    assert lines == [f"{files.sha256(tmp_path / part)}  {part}" for part in run.SUMMED]
    assert run.read_metrics(tmp_path)["y_loss"] == 0.5
    run.load(tmp_path)
    content = bytearray((tmp_path / run.MODEL).read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / run.MODEL).write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.keras in '.*' must be what training wrote"):
        run.load(tmp_path)
    run.save_model(keras.Model(x, {"y": keras.layers.Dense(1)(x)}), tmp_path)
    assert not (tmp_path / run.SUMS).exists()
