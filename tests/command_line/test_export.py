from mtl_zoo.command_line import main as cli
from tests.command_line.harness import error_line, train

WRONG_EXPORTS = [
    (["--batch_sizes=2"], 1, "--batch_sizes must come with --device"),
    (["--image_scale=1"], 1, "--image_scale must come with --image_bytes"),
    (["--device=tpu", "--batch_sizes=2,x"], 2, "--batch_sizes=['2', 'x']: must be integers"),
    (["--image_bytes", "--image_offset=1,x"], 2, "--image_offset=['1', 'x']: must be numbers"),
    (["--format=onnx", "--warmup"], 1, "Flags must suit --format=onnx. Received: --warmup"),
    (["--class_names=list.json"], 1, "--class_names must be a JSON file, {task: [names]}. Received: 'list"),
    (["--class_names=text.json"], 1, "--class_names must be a JSON file"),
]


def test_wrong_flags_of_an_export(run_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text("names")
    assert train(run_dir) == 0
    capsys.readouterr()
    for arguments, code, message in WRONG_EXPORTS:
        assert cli.main(["export", f"--run_dir={run_dir}", "--output=1", *arguments]) == code
        assert message in error_line(capsys)
        assert not (tmp_path / "1").exists()
