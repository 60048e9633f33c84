import hashlib
import json

import keras
import pytest

from mtl_zoo import exporting
from mtl_zoo.exporting.model_card import CARD, card_path, checksums
from mtl_zoo.kinds import kind_of
from mtl_zoo.task import Task

TASKS = [Task.classification("kind", 3), Task.binary("flag")]


def small_model():
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, {task.name: keras.layers.Dense(task.item_size)(inputs) for task in TASKS})


def test_card_tells_what_the_artefact_is(tmp_path):
    information = {"dataset": "fruit", "metrics": {"kind_accuracy": 0.5}}
    names = {"kind": ["apples", "pears", "plums"]}
    exporting.saved_model(small_model(), TASKS, tmp_path / "1", class_names=names, information=information)
    card = exporting.read_card(tmp_path / "1")
    assert card["parameters"] == 5 * 3 + 5
    assert card["inputs"] == {"x": {"shape": [None, 4], "dtype": "float32"}}
    assert card["tasks"] == {
        "kind": {
            "kind": "classification",
            "output": {"shape": [None, 3], "dtype": "float32"},
            "classes": 3,
            "class_names": ["apples", "pears", "plums"],
        },
        "flag": {"kind": "binary", "output": {"shape": [None, 1], "dtype": "float32"}, "classes": 2},
    }
    assert card["signatures"]["flag"] == {
        "inputs": {"x": {"shape": [None, 4], "dtype": "float32"}},
        "outputs": {"flag": {"shape": [None, 1], "dtype": "float32"}},
    }
    assert (card["dataset"], card["metrics"]) == ("fruit", {"kind_accuracy": 0.5})
    assert card["versions"]["keras"] == keras.__version__
    files = [path for path in (tmp_path / "1").rglob("*") if path.is_file() and path.name != CARD]
    assert len(files) >= 4
    assert card["sha256"] == {
        path.relative_to(tmp_path / "1").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_every_kind_of_task_is_told():
    kinds = {
        "classification": Task.classification("a", 2),
        "binary": Task.binary("a"),
        "multilabel": Task.multilabel("a", 2),
        "regression": Task.regression("a"),
        "segmentation": Task.segmentation("a", 2),
        "dense_regression": Task.dense_regression("a", 1),
        "tagging": Task.tagging("a", 2),
    }
    assert {name: kind_of(task) for name, task in kinds.items()} == {name: name for name in kinds}


def test_card_of_a_file_lies_beside_it(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"model")
    assert exporting.read_card(path) == {}
    exporting.write_card(path, {"dataset": "fruit"})
    assert card_path(path) == tmp_path / "model.tflite.model_card.json"
    sha256 = {"model.tflite": hashlib.sha256(b"model").hexdigest()}
    assert exporting.read_card(path) == {"dataset": "fruit", "sha256": sha256}


def test_what_is_added_for_a_server_leaves_the_checksums(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    exporting.write_card(tmp_path, {})
    before = checksums(tmp_path)
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"requests")
    assert checksums(tmp_path) == before == json.loads((tmp_path / CARD).read_text())["sha256"]


def test_there_must_be_an_artefact(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be an exported model at '.*none'"):
        exporting.read_card(tmp_path / "none")
