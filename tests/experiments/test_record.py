import json

import keras

from mtl_zoo.experiments import Recipe, Run, run
from mtl_zoo.experiments.record import Record


def test_record_begins_after_the_first_epoch(tmp_path, monkeypatch):
    (tmp_path / run.METRICS).write_text("{}")
    (tmp_path / run.LOGS).mkdir()
    (tmp_path / "notes.txt").touch()
    record = Record(tmp_path, Recipe(seed=1))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    record.set_model(model)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("mtl_zoo.experiments.record.time.monotonic", iter([3.0, 5.0, 10.0, 10.5]).__next__)
    record.on_epoch_begin(0)
    record.on_epoch_end(0, {"loss": 2.0, "val_loss": 3.0})
    record.on_epoch_begin(1)
    record.on_epoch_end(1, {"loss": 1.0, "val_loss": 2.5})
    monkeypatch.undo()
    assert record.seconds == [2.0, 0.5]
    record.on_train_end()
    assert {path.name for path in tmp_path.iterdir()} == {run.CONFIG, run.HISTORY, run.LOGS, "notes.txt"}
    config = json.loads((tmp_path / run.CONFIG).read_text())
    assert (config["seed"], config["versions"]["keras"]) == (1, keras.__version__)
    assert (tmp_path / run.HISTORY).read_text().splitlines() == [
        "epoch,loss,val_loss",
        "1,2.0,3.0",
        "2,1.0,2.5",
    ]
    assert Run(tmp_path).history == {"epoch": [1, 2], "loss": [2, 1], "val_loss": [3, 2.5]}
    assert not Run(tmp_path).is_complete
