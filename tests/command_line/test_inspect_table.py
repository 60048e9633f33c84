import keras
import numpy as np
import pytest

from mtl_zoo.command_line import main as cli
from tests.command_line.harness import error_line


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,job,bought\n31,nurse,yes\n,pilot,no\n40,nurse\nold,cook,yes\n")
    return path


def test_what_is_wrong_is_said_by_row(path, capsys):
    assert cli.main(["inspect", f"--csv={path}", "--task=bought:binary", "--numbers=age"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"'{path}': 2 rows, and 2 that are not right"
    assert out[1].split("  ")[0] == "column"
    assert [line.split()[0] for line in out[2:5]] == ["age", "job", "bought"]
    assert "labels of task bought" in out[4]
    assert "yes 2, no 1" in out[4]
    assert out[5:] == [
        "row 4: there must be 3 cells. Received: 2",
        "row 5: column 'age' must be a finite number. Received: 'old'",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "--csv must be given, or --images and --labels"),
        (["--csv=none.csv"], 1, "'none.csv' must be a file that can be read"),
        (["--csv={0}", "--task=age:segmentation"], 1, "must be in columns of a table"),
        (["--csv={0}", "--split_column=none"], 1, "must have the columns ['none']"),
        (["--images=none", "--labels={0}"], 1, "must have the columns ['file']"),
    ],
)
def test_mistakes_are_one_line(path, capsys, arguments, code, message):
    assert cli.main(["inspect", *(argument.format(path) for argument in arguments)]) == code
    assert message in error_line(capsys)


def test_images(tmp_path, capsys):
    keras.utils.save_img(tmp_path / "a.png", np.zeros((8, 8, 3), "uint8"))
    (tmp_path / "labels.csv").write_text("file,kind\na.png,cat\nb.png,dog\na.png,cat\n")
    assert cli.main(["inspect", f"--images={tmp_path}", f"--labels={tmp_path}/labels.csv"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "images" in out[2]
    assert out[4] == f"row 3: column 'file' must name a file in '{tmp_path}'. Received: 'b.png'"
