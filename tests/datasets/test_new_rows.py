import keras
import numpy as np
import pytest

from mtl_zoo.datasets.new_rows import UNKNOWN, read_new_rows
from mtl_zoo.encoders.tabular import MISSING

COLUMNS = {
    "hours per week": "numbers float32",
    "stamp": "numbers int64",
    "shop": "categories int64",
    "job": "categories string",
}
ABOUT = {"kind": "csv_file", "columns": COLUMNS, "missing": None}


@pytest.fixture
def read(tmp_path):
    def read_rows(*rows, header="job,bought,stamp,shop,hours per week", about=ABOUT):
        path = tmp_path / "t.csv"
        path.write_text("\n".join([header, *rows]))
        return read_new_rows(path, about)

    return read_rows


def test_columns_are_read_as_in_training_and_labels_are_not(read):
    rows, dataset = read("nurse,?!,16777217,5,40", "NA,,,,", "pilot,,3,new,-2.5")
    assert rows == ["2", "3", "4"]
    columns = next(dataset.batch(9).as_numpy_iterator())
    np.testing.assert_array_equal(columns["hours_per_week"], [[40], [np.nan], [-2.5]])
    assert columns["stamp"].tolist() == [[16777217], [MISSING], [3]]
    assert columns["shop"].tolist() == [[5], [MISSING], [UNKNOWN]]
    assert columns["job"].tolist() == [[b"nurse"], [b""], [b"pilot"]]
    assert [columns[name].dtype.name for name in ("hours_per_week", "stamp")] == ["float32", "int64"]


def test_markers_are_those_of_training(read):
    _, dataset = read("none,,-1,-1,40", about=ABOUT | {"missing": ["-1"]})
    columns = next(dataset.batch(9).as_numpy_iterator())
    assert (columns["stamp"].item(), columns["shop"].item()) == (MISSING, MISSING)
    assert columns["job"].item() == b"none"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["nurse,,1,1,40", "nurse,,1,1,many"], "row 3: column 'hours per week' must be a finite number"),
        (
            ["nurse,,1.5,1,40"],
            "row 2: column 'stamp' must be a whole number, as in training. Received: '1.5'",
        ),
        (
            ["nurse,,1", "a"],
            r"row 2: there must be 5 cells. Received: 3. Correct it; .* \(2 rows are not right",
        ),
        ([], "must have at least one row"),
    ],
)
def test_every_row_must_be_right(read, rows, message):
    with pytest.raises(ValueError, match=message):
        read(*rows)


def test_a_column_must_not_be_missing(read):
    with pytest.raises(ValueError, match=r"must have the columns \['shop', 'job'\]"):
        read("1,2", header="stamp,hours per week")


def test_images(tmp_path):
    keras.utils.save_img(tmp_path / "a.png", np.full((8, 8, 3), 255, "uint8"), scale=False)
    path = tmp_path / "t.csv"
    path.write_text("picture\na.png\na.png\n")
    about = {"kind": "image_folder", "folder": "none", "file_column": "picture", "size": [4, 6]}
    rows, dataset = read_new_rows(path, about, tmp_path)
    assert rows == ["2", "3"]
    np.testing.assert_array_equal(next(dataset.batch(9).as_numpy_iterator()), np.ones((2, 4, 6, 3)))
    path.write_text("picture\nb.png\n")
    with pytest.raises(ValueError, match=r"row 2: column 'picture' must name a file in .*Received: 'b\.png'"):
        read_new_rows(path, about, tmp_path)
