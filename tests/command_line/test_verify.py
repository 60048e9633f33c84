import json

import numpy as np
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.command_line import main as cli
from mtl_zoo.experiments import run
from tests.command_line.harness import error_line, load, train


def test_an_export_is_described_and_verified(run_dir, tmp_path, capsys, monkeypatch):
    names, saved = tmp_path / "names.json", tmp_path / "exported" / "1"
    names.write_text('{"kind": ["a", "b", "c"]}')
    assert train(run_dir) == 0
    options = [f"--class_names={names}", "--warmup"]
    assert cli.main(["export", f"--run_dir={run_dir}", f"--output={saved}", *options]) == 0
    assert "kind_class_name string [None]" in capsys.readouterr().out
    x, _ = next(iter(load("test", 1)))
    requests = exporting.replay_warmup(saved)
    expected = tf.saved_model.load(saved).signatures["size"](x=x)["size"]
    np.testing.assert_allclose(dict(requests)["size"]["size"], expected, rtol=1e-6)
    card = json.loads((saved / "model_card.json").read_text())
    assert (card["dataset"], card["architecture"]) == ("tiny", "hard_sharing")
    assert card["metrics"] == json.loads((run_dir / run.METRICS).read_text())["test"]

    assert cli.main(["verify", f"--export={saved}"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    accuracy = f"{card['metrics']['kind_accuracy']:.4f}"
    assert table[0] == ["difference", "metric", "Keras", "export"]
    assert [row[0] for row in table[1:]] == ["kind", "size", "root_mean_squared_error"]
    assert table[1][2:] == ["accuracy", accuracy, accuracy]
    assert float(table[2][1]) < 1e-5

    found = [exporting.Agreement("kind", 0.2, 1.0, {"accuracy": (0.5, 0.25)})]
    monkeypatch.setattr(exporting, "verify", lambda *arguments: found)
    assert cli.main(["verify", f"--export={saved}"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split() == ["kind", "2.0e-01", "accuracy", "0.5000", "0.2500"]
    assert printed.err.endswith("Received larger ones for kind\n")
    tolerances = ["--tolerance=0.2", "--metric_tolerance=0.25"]
    assert cli.main(["verify", f"--export={saved}", *tolerances]) == 0


def test_an_export_names_its_run_by_a_path_from_where_it_is(run_dir, tmp_path, capsys):
    assert train(run_dir, f"--export={tmp_path / 'exported' / 'tiny' / '1'}") == 0
    (tmp_path / "elsewhere").mkdir()
    for name in ("runs", "exported"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    saved = tmp_path / "elsewhere" / "exported" / "tiny" / "1"
    assert str(tmp_path) not in (saved / "model_card.json").read_text()
    assert cli.main(["verify", f"--export={saved}"]) == 0
    saved.rename(tmp_path / "1")
    capsys.readouterr()
    assert cli.main(["verify", f"--export={tmp_path / '1'}"]) == 1
    assert "must hold a finished run" in error_line(capsys)
    run_flag = f"--run_dir={tmp_path / 'elsewhere' / 'runs' / 'tiny'}"
    assert cli.main(["verify", f"--export={tmp_path / '1'}", run_flag]) == 0


def test_an_export_that_tells_no_run_is_verified_with_one_that_is_given(tmp_path, capsys):
    assert cli.main(["verify", f"--export={tmp_path}/none"]) == 1
    assert "must be an exported model" in error_line(capsys)
    assert cli.main(["verify", f"--export={tmp_path}"]) == 1
    assert "--run_dir must be given" in error_line(capsys)
