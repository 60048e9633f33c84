"""Files of a run that were cut, changed or are another's: one line, exit code 1, and nothing is lost."""

import contextlib
import json
import os
import resource
import shutil
import types
import warnings
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import datasets, encoders, exporting, files
from mtl_zoo.callbacks import checkpoints
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import run
from mtl_zoo.task import Task

CARD = "model_card.json"


def load(split, batch_size, data_dir=None, seed=0):
    x = np.random.default_rng(len(split)).normal(size=(8, 4)).astype("float32")
    labels = {"kind": x[:, :3].argmax(-1), "size": x.sum(-1)}
    return tf.data.Dataset.from_tensor_slices((x, labels)).batch(batch_size)


@pytest.fixture(scope="module", autouse=True)
def _small_dataset():
    module = types.ModuleType("small", "Numbers.")
    module.TASKS, module.load = (Task.classification("kind", 3), Task.regression("size")), load
    module.inputs = lambda: keras.Input((4,), name="x")
    module.encoder = lambda: encoders.mlp(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "small", module, raising=False)
        yield


TRAIN = ("train", "--dataset=small", "--batch_size=4", "--epochs=1", "--quiet")


def train(path, *arguments):
    return cli.main([*TRAIN, f"--run_dir={path}", *arguments])


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Two runs of different tasks, and a SavedModel of each."""
    root = tmp_path_factory.mktemp("originals")
    assert train(root / "run", f"--export={root / 'saved'}") == 0
    assert train(root / "other", f"--export={root / 'other_saved'}", "--tasks=size") == 0
    return root


@pytest.fixture
def root(originals, tmp_path):
    """Copies that may be spoiled."""
    shutil.copytree(originals, tmp_path / "copy")
    return tmp_path / "copy"


def cut(path, part):
    os.truncate(path, int(path.stat().st_size * part))


def flip(path, part):
    content = bytearray(path.read_bytes())
    content[min(int(len(content) * part), len(content) - 1)] ^= 1
    path.write_bytes(content)


def replace(path, content):
    path.write_bytes(content)


def instead(path, make):
    path.unlink()
    make(path)


def make_loop(path):
    path.symlink_to(path)


DAMAGES = {
    "empty": lambda path: cut(path, 0),
    "half": lambda path: cut(path, 0.5),
    "without_its_end": lambda path: os.truncate(path, path.stat().st_size - 1),
    "flipped_first": lambda path: flip(path, 0),
    "flipped_middle": lambda path: flip(path, 0.5),
    "flipped_last": lambda path: flip(path, 1),
    "null": lambda path: replace(path, b"null"),
    "number": lambda path: replace(path, b"7"),
    "huge_number": lambda path: replace(path, b"1" * 10_000),
    "list": lambda path: replace(path, b"[1, 2]"),
    "object": lambda path: replace(path, b"{}"),
    "deep": lambda path: replace(path, b"[" * 100_000),
    "deep_objects": lambda path: replace(path, b'{"a":' * 100_000),
    "no_text": lambda path: replace(path, b"\xff\xfe\x00"),
    "directory": lambda path: instead(path, os.mkdir),
    "pipe": lambda path: instead(path, os.mkfifo),
    "loop": lambda path: instead(path, make_loop),
}
OF_A_RUN = (run.CONFIG, run.METRICS, run.MODEL, run.SUMS)
AS_JSON = [name for name in DAMAGES if not name.startswith("flipped") and name != "without_its_end"]
WITH_CONTENT = [name for name in DAMAGES if name not in ("directory", "pipe", "loop")]


def contents(path):
    """Return the content of every file and the kind of all else, by name."""
    return {
        str(part.relative_to(path)): part.read_bytes() if part.is_file() else os.lstat(part).st_mode
        for part in path.rglob("*")
    }


def refused(capsys, root, *arguments):
    """Return the one line that a command fails with; it changes nothing."""
    before = contents(root)
    capsys.readouterr()
    assert cli.main(list(arguments)) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert "Traceback" not in err
    assert contents(root) == before
    return err


def evaluate(root):
    return ["evaluate", f"--run_dir={root / 'run'}", "--quiet"]


def export(root, *arguments):
    return ["export", f"--run_dir={root / 'run'}", f"--output={root / 'exported' / '1'}", *arguments]


def verify(root, artefact="saved"):
    return ["verify", f"--run_dir={root / 'run'}", f"--export={root / artefact}", "--examples=4"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", OF_A_RUN)
def test_file_of_a_run(root, capsys, part, damage):
    DAMAGES[damage](root / "run" / part)
    line = refused(capsys, root, *evaluate(root))
    assert part in line or run.SUMS in line


@pytest.mark.parametrize("part", OF_A_RUN)
def test_file_of_another_run(root, capsys, part):
    shutil.copy(root / "other" / part, root / "run" / part)
    for command in (evaluate(root), export(root), verify(root)):
        line = refused(capsys, root, *command)
        assert run.SUMS in line
        assert "--overwrite" in line


@pytest.mark.parametrize("command", [evaluate, export, verify])
def test_run_of_an_earlier_version_has_no_checksums(root, capsys, command):
    (root / "run" / run.SUMS).unlink()
    assert cli.main(command(root)) == 0


@pytest.mark.parametrize("damage", AS_JSON)
@pytest.mark.parametrize("part", [run.CONFIG, run.METRICS])
def test_json_of_an_earlier_version(root, capsys, part, damage):
    (root / "run" / run.SUMS).unlink()
    DAMAGES[damage](root / "run" / part)
    assert part in refused(capsys, root, *export(root))


WRONG_VALUES = {
    "dataset": (None, 3, ["small"], "smal", "small:a=1", "small:seed=" + "-" * 20_000),
    "architecture": (None, {}),
    "tasks": (3, "kind", ["weight"], [1], [[]], {}),
    "epochs": (True, 1.0, "1"),
    "batch_size": (None, 0, -1, 2.5, "4", 10**30, True, [], float("nan"), float("inf")),
    "learning_rate": (None, "x", float("nan")),
    "seed": (None, -1, 2**32, 0.5, "0"),
    "jit_compile": (0, None),
    "data_dir": (3, [], {}),
    "manual_dir": (3, "somewhere"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_VALUES.items() for value in values]
)
def test_value_in_the_config_of_an_earlier_version(root, capsys, name, value):
    (root / "run" / run.SUMS).unlink()
    path = root / "run" / run.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    line = refused(capsys, root, *evaluate(root))
    assert name in line.lower()
    assert len(line) < 1_000 or name == "dataset"


@pytest.mark.parametrize("name", ["dataset", "tasks", "seed", "manual_dir"])
def test_value_that_is_missing_in_the_config_of_an_earlier_version(root, capsys, name):
    (root / "run" / run.SUMS).unlink()
    path = root / "run" / run.CONFIG
    path.write_text(path.read_text().replace(f'"{name}"', '"name"'))
    assert f"Received: no '{name}'" in refused(capsys, root, *evaluate(root))


def test_a_key_twice_in_the_config_of_an_earlier_version(root, capsys):
    (root / "run" / run.SUMS).unlink()
    path = root / "run" / run.CONFIG
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1, "seed": 0'))
    assert "a key twice" in refused(capsys, root, *evaluate(root))


@pytest.mark.parametrize("damage", sorted({*DAMAGES} - {"flipped_last"}))  # the length of a comment
def test_model_of_an_earlier_version(root, capsys, damage):
    (root / "run" / run.SUMS).unlink()
    DAMAGES[damage](root / "run" / run.MODEL)
    assert run.MODEL in refused(capsys, root, *evaluate(root))


def rewritten(path, part, change):
    """Write a Keras file anew, intact as an archive, with a part changed, or left out for `None`."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if name != part or change is not None:
                archive.writestr(name, change(content) if name == part else content)


PARTS_OF_A_MODEL = [
    ("config.json", None),
    ("model.weights.h5", None),
    ("config.json", lambda content: content.replace(b'"Dense"', b'"Danse"')),
    ("config.json", lambda content: content.replace(b'"keras.layers"', b'"os"')),
    ("config.json", lambda content: content.replace(b'"units": 2', b'"units": 3')),
    ("config.json", lambda content: content.replace(b'"units": 2', b'"units": null')),
    ("config.json", lambda content: content.replace(b'"units"', b'"unit"')),
    *(("config.json", lambda _, text=text: text) for text in (b"null", b"7", b"[]", b"{}", b"[" * 100_000)),
    ("model.weights.h5", lambda content: content[: len(content) // 2]),
    ("model.weights.h5", lambda content: b"weights"),
]


@pytest.mark.parametrize(("part", "change"), PARTS_OF_A_MODEL)
def test_part_of_a_model_of_an_earlier_version(root, capsys, part, change):
    (root / "run" / run.SUMS).unlink()
    rewritten(root / "run" / run.MODEL, part, change)
    line = refused(capsys, root, *evaluate(root))
    assert run.MODEL in line
    assert "--overwrite" in line


def test_no_code_of_a_model_runs(root, capsys, tmp_path):
    """A lambda that is pickled into the file is not unpickled, and a class of another module not imported."""
    (root / "run" / run.SUMS).unlink()
    x, place = keras.Input((4,)), str(tmp_path / "ran")
    y = keras.layers.Lambda(lambda x: os.makedirs(place, exist_ok=True) or x, output_shape=(4,))(x)
    heads = {"kind": keras.layers.Dense(3)(y), "size": keras.layers.Dense(1)(y)}
    keras.Model(x, heads).save(root / "run" / run.MODEL)
    assert "must be a whole Keras file" in refused(capsys, root, *evaluate(root))
    assert not os.path.exists(place)


@pytest.mark.parametrize(("inputs", "message"), [((5,), "Inputs must be"), (None, "Every task must name")])
def test_model_of_another_run_of_an_earlier_version(root, capsys, inputs, message):
    (root / "run" / run.SUMS).unlink()
    if inputs:
        x = keras.Input(inputs)
        heads = {"kind": keras.layers.Dense(3)(x), "size": keras.layers.Dense(1)(x)}
        keras.Model(x, heads).save(root / "run" / run.MODEL)
    else:
        shutil.copy(root / "other" / run.MODEL, root / "run" / run.MODEL)
    for command in (evaluate(root), export(root), verify(root)):
        line = refused(capsys, root, *command)
        assert "must be of one run" in line
        assert message in line


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "part", [CARD, "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_file_of_a_saved_model(root, capsys, part, damage):
    DAMAGES[damage](root / "saved" / part)
    line = refused(capsys, root, *verify(root))
    assert part in line
    assert "Export again." in line or "must be a file" in line


@pytest.mark.parametrize("part", [CARD, "saved_model.pb"])
def test_file_of_another_saved_model(root, capsys, part):
    shutil.copy(root / "other_saved" / part, root / "saved" / part)
    assert "Received changes of" in refused(capsys, root, *verify(root))


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_file_of_another_format_and_its_card(root, capsys, name, damage):
    for part in (name, f"{name}.{CARD}"):
        (root / name).write_bytes(b"nothing of this is read, since the checksum is another")
        exporting.write_card(root / name, {"run_dir": "run"})
        DAMAGES[damage](root / part)
        line = refused(capsys, root, "verify", f"--export={root / name}")
        assert name in line
        shutil.rmtree(root / part) if (root / part).is_dir() else (root / part).unlink()


@pytest.mark.parametrize(
    "change",
    [
        *({"run_dir": value} for value in (3, [], {})),
        *({"sha256": value} for value in (None, 3, [], {"saved_model.pb": 3}, {})),
        *(
            {"signatures": value}
            for value in (3, [], {"a": 3}, {"a": {}}, {"a": {"inputs": {}, "outputs": 3}})
        ),
        {"signatures": {"a": {"inputs": {"x": {}}, "outputs": {}}}},
    ],
)
def test_value_in_a_card_of_an_earlier_version(root, capsys, change):
    path = root / "saved" / CARD
    card = json.loads(path.read_text()) | change
    del card["sha256_of_card"]
    path.write_text(json.dumps(card))
    refused(capsys, root, *verify(root))


def test_card_of_an_earlier_version(root, capsys):
    path = root / "saved" / CARD
    card = json.loads(path.read_text())
    del card["sha256_of_card"]
    path.write_text(json.dumps(card))
    assert cli.main(verify(root)) == 0


@pytest.mark.parametrize("damage", [*WITH_CONTENT, "directory", "pipe", "loop"])
def test_class_names(root, capsys, damage):
    path = root / "names.json"
    path.write_text('{"kind": ["a", "b", "c"]}')
    DAMAGES[damage](path)
    if damage == "object":  # which is right: no task is named
        path.write_text('{"kind": 5}')
    refused(capsys, root, *export(root, f"--class_names={path}"))
    assert not (root / "exported").exists()


@pytest.mark.parametrize("format", ["saved_model", "litert", "onnx"])
@pytest.mark.parametrize("name", ["loop", "loop/1", "x" * 300, "file/1"])
def test_place_that_cannot_be_written(root, capsys, format, name):
    (root / "loop").symlink_to("loop")
    (root / "file").touch()
    suffix = {"saved_model": "", "litert": ".tflite", "onnx": ".onnx"}[format]
    if name == "loop":
        (root / f"loop{suffix}").symlink_to(f"loop{suffix}") if suffix else None
    arguments = [f"--run_dir={root / 'run'}", f"--format={format}", f"--output={root / name}{suffix}"]
    assert f"{name[:9]}" in refused(capsys, root, "export", *arguments)


@contextlib.contextmanager
def files_end_at(size):
    """No file can be longer: to write on fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 100, 5_000])
@pytest.mark.parametrize("format", ["saved_model", "litert"])
def test_export_onto_a_full_disk(root, capsys, format, size):
    arguments = [f"--format={format}", f"--output={root / 'new' / '1.tflite'}"]
    with files_end_at(size):
        line = refused(capsys, root, "export", f"--run_dir={root / 'run'}", *arguments)
    assert "must be a place that can be written" in line
    assert not (root / "new").exists()


@pytest.mark.parametrize(("size", "name"), [(0, run.CONFIG), (1_000, run.BACKUP)])
def test_training_onto_a_full_disk(tmp_path, capsys, size, name):
    (tmp_path / "notes.txt").write_text("mine")
    with files_end_at(size):
        assert train(tmp_path / "run") == 1
    err = capsys.readouterr().err
    assert name in err
    assert err.count("\n") == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert train(tmp_path / "run") == 0 if name == run.CONFIG else True


@pytest.mark.parametrize("damage", ["half", "null", "directory", "pipe"])
def test_a_damaged_run_is_replaced_only_if_asked_for(root, capsys, damage):
    for part in (run.METRICS, run.MODEL, run.SUMS):
        DAMAGES[damage](root / "run" / part)
    assert "--overwrite" in refused(capsys, root, *TRAIN, f"--run_dir={root / 'run'}")


def test_overwriting_mends_a_run(root, capsys):
    for part in (run.METRICS, run.MODEL, run.SUMS, run.HISTORY):
        DAMAGES["directory"](root / "run" / part)
    (root / "run" / run.CONFIG).write_text("null")
    assert train(root / "run", "--overwrite") == 0
    assert cli.main(evaluate(root)) == 0


@pytest.fixture(scope="module")
def backup(tmp_path_factory):
    """The directory of a training that ended, but whose backup has not been removed."""
    path = tmp_path_factory.mktemp("backup") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "clear", lambda directory: None)
        assert train(path, "--epochs=3") == 0
    assert len(list((path / run.BACKUP).iterdir())) == 2
    return path


@pytest.mark.parametrize("damage", ["half", "flipped_middle", "null", "directory", "pipe"])
def test_damaged_checkpoint_gives_way_to_the_one_before(backup, tmp_path, capsys, damage):
    """The run ends as it did; what else was damaged meanwhile is written anew."""
    path = tmp_path / "run"
    shutil.copytree(backup, path)
    newest = max((path / run.BACKUP).iterdir())
    DAMAGES[damage](newest)
    for part in (run.CONFIG, run.HISTORY, run.MODEL, run.METRICS, run.SUMS):
        (path / part).write_text("null")
    with pytest.warns(UserWarning, match="is damaged"):
        assert train(path, "--epochs=3") == 0
    for part in (run.CONFIG, run.HISTORY):
        assert (path / part).read_text() == (backup / part).read_text()
    assert cli.main(["evaluate", f"--run_dir={path}", "--quiet"]) == 0


def checkpoint(path, state):
    shutil.rmtree(path / run.BACKUP, ignore_errors=True)
    return checkpoints.write(path / run.BACKUP, state)


@pytest.mark.parametrize(
    "change",
    [{"epoch": value} for value in (None, "1", -1, 1.5, [])]
    + [{"recipe": value} for value in (3, [], "x")]
    + [{"variables": value} for value in (None, 3, [1.0], {"a": np.ones(2)})]
    + [{"callbacks": value} for value in (None, 3, [3], [["Record", []]], [["Record", {}, {}]])],
)
def test_checkpoint_that_is_intact_but_holds_something_else(backup, tmp_path, capsys, change):
    path = tmp_path / "run"
    shutil.copytree(backup, path)
    _, state = checkpoints.read(path / run.BACKUP)
    found = checkpoint(path, state | change)
    line = refused(capsys, path, *TRAIN, "--epochs=3", f"--run_dir={path}")
    assert found.name in line or run.BACKUP in line


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x05\x06" + bytes(18), "numbers"])
def test_checkpoint_of_another_form_with_its_checksum(tmp_path, capsys, content):
    backup = tmp_path / "run" / run.BACKUP
    backup.mkdir(parents=True)
    partial = tmp_path / "x.npz"
    np.savez(partial, state=np.ones(3)) if content == "numbers" else partial.write_bytes(content)
    partial.rename(backup / f"checkpoint-000001-{files.sha256(partial)}.npz")
    line = refused(capsys, tmp_path, *TRAIN, f"--run_dir={tmp_path / 'run'}")
    assert "must be a checkpoint of this library" in line


def test_files_beside_the_checkpoints_stay(tmp_path):
    for name in ("checkpoint-copy.npz", "checkpoint-000001-copy.npz", "notes.txt"):
        (tmp_path / name).write_text("mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.read(tmp_path) is None
    checkpoints.write(tmp_path, {})
    checkpoints.clear(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-000001-copy.npz", "checkpoint-copy.npz", "notes.txt"]


def test_directory_of_another_program_with_a_backup_stays(tmp_path, capsys):
    (tmp_path / run.BACKUP).mkdir()
    (tmp_path / run.LOGS).mkdir()
    (tmp_path / run.LOGS / "mine.txt").write_text("mine")
    line = refused(capsys, tmp_path, *TRAIN, "--overwrite", f"--run_dir={tmp_path}")
    assert "must be new, empty, or an earlier run" in line
