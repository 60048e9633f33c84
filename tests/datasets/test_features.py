import math

import numpy as np
import pytest

from mtl_zoo.datasets import features
from mtl_zoo.datasets.table import Table
from mtl_zoo.encoders.tabular import MISSING

NAN = math.nan


@pytest.fixture
def read(tmp_path):
    def read(content, missing=None):
        path = tmp_path / "t.csv"
        path.write_text(content)
        return Table(path, missing)

    return read


@pytest.fixture
def warnings(monkeypatch):
    """Collect what is logged."""
    found = []
    monkeypatch.setattr(features.logging, "warning", lambda text, *values: found.append(text % values))
    return found


def read_one(table, name="a", **options):
    kinds = features.read_kinds(table, [name], **options)
    return features.read_feature(table, name, kinds[name])


def column(cells):
    return "a,b\n" + "".join(f'"{cell}",0\n' for cell in cells)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", " -2.5e1", "", "nan"], np.array([1, -25, NAN, NAN], "float32")),
        (["", "", "", ""], np.array([NAN, NAN, NAN, NAN], "float32")),
        (["1", "2", "", "three"], np.array(["1", "2", "", "three"], object)),
        (["1_0", "2_0", "3", "4"], np.array(["1_0", "2_0", "3", "4"], object)),
        (["1", "NA", "N/A", "?", "null", "None", "NULL", "<NA>"], np.array([1] + [NAN] * 7, "float32")),
        (["nurse", "NA", "?", "None"], np.array(["nurse", "", "", ""], object)),
        (["true", "false"], np.array(["true", "false"], object)),
    ],
)
def test_features(read, cells, expected):
    found = read(column(cells))
    values = read_one(found)
    np.testing.assert_array_equal(values, expected)
    assert values.dtype == expected.dtype
    assert not found.bad


def test_infinite_features_and_those_of_bad_rows(read):
    found = read("a,b\n1,2\ninf,3\n-1e39,4\nword,5\n")
    found.reject(3, "it is bad for another reason")
    values = read_one(found)
    assert values.dtype == "float32"  # the word is in a row that counts no more
    assert values[0] == 1
    assert found.bad == {
        3: "column 'a' must be a finite number. Received: 'inf'",
        4: "column 'a' must be a finite number. Received: '-1e39'",
        5: "it is bad for another reason",
    }


IDS = [16777216, 16777217, 16777218, 16777217]


@pytest.mark.parametrize(
    ("cells", "options", "expected"),
    [
        (IDS * 2, {}, np.array(IDS * 2)),  # categories, as they recur
        (IDS, {}, np.array(IDS)),  # numbers, exact as well
        ([16777216, 16777220], {}, np.array([16777216, 16777220], "float32")),  # which float32 has
        (["16777217.0", "NA"], {}, np.array([16777217, MISSING])),
        ([-16777217, 3], {}, np.array([-16777217, 3])),
        ([2**63 - 1, 2**63 - 2] * 2, {}, np.array([2**63 - 1, 2**63 - 2] * 2)),
        ([2**63, 2**63 + 1] * 2, {}, np.array([str(2**63), str(2**63 + 1)] * 2, object)),
        (["9" * 50, "9" * 40] * 2, {}, np.array(["9" * 50, "9" * 40] * 2, object)),
        ([3, "", 5, "NA"], {"categories": ["a"]}, np.array([3, MISSING, 5, MISSING])),
        (["007", "7"], {"categories": ["a"]}, np.array(["007", "7"], object)),
        (["0.5", "7"], {"categories": ["a"]}, np.array(["0.5", "7"], object)),
        (["", "NA"], {"categories": ["a"]}, np.array(["", ""], object)),
        (IDS * 2, {"numbers": ["a"]}, np.array(IDS * 2)),
        ([3, 5], {"numbers": ["a"]}, np.array([3, 5], "float32")),
    ],
)
@pytest.mark.filterwarnings("error")
def test_integers_keep_their_value(read, cells, options, expected):
    found = read(column(cells))
    values = read_one(found, **options)
    assert not found.bad
    assert values.dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(("cells", "kind"), [(IDS * 2, "categories"), (IDS, "numbers")])
def test_integers_that_float32_rounds_are_warned_of_unless_named(read, warnings, cells, kind):
    found = read(column(cells))
    assert features.read_kinds(found, ["a"]) == {"a": kind}
    assert warnings == [
        f"'{found.path}', column 'a' holds integers that float32 would round, such as 16777218: they are "
        f"taken for {kind}. `categories=` or `numbers=` says what they are."
    ]
    features.read_kinds(found, ["a"], categories=["a"])
    features.read_kinds(found, ["a"], numbers=["a"])
    assert len(warnings) == 1


def test_nearly_numeric_columns_are_warned_of_unless_named(read, warnings):
    found = read("a,b,c\n1,x,1\nsome,y,z\n3.5,2,x\nNA,,\n4,1,\n5,z,\n")
    assert set(features.read_kinds(found, ["a", "b", "c"]).values()) == {"categories"}
    assert warnings == [
        f"'{found.path}', column 'a' is nearly numeric, but taken for categories: 1 of 5 values are no "
        "numbers (row 3: 'some'). `missing=` marks them as missing, `numbers=` skips their rows, "
        "`categories=` confirms."
    ]
    assert features.read_kinds(found, ["a"], numbers=["a"]) == {"a": "numbers"}
    assert features.read_kinds(found, ["a"], categories=["a"]) == {"a": "categories"}
    assert len(warnings) == 1
    read_one(found, numbers=["a"])
    assert found.bad == {3: "column 'a' must be a finite number. Received: 'some'"}


@pytest.mark.parametrize(
    ("cells", "warned"),
    [
        (["1,234.5", "2,000.0"], True),
        (["1.234,5", "12,5"], True),
        (["$12", "40 %"], True),
        (["2024-01-31", "2024-02-01"], False),
        (["10.0.0.1", "10.0.0.2"], False),
        (["12:30", "a1"], False),
    ],
)
def test_decorated_numbers_are_nearly_numeric(read, warnings, cells, warned):
    found = read(column(cells))
    assert features.read_kinds(found, ["a"]) == {"a": "categories"}
    assert len(warnings) == warned


def test_markers_of_ones_own_make_a_column_numeric(read, warnings):
    found = read(column(["1", "unknown", "-9", "2"]), missing=["unknown", -9])
    np.testing.assert_array_equal(read_one(found), np.array([1, NAN, NAN, 2], "float32"))
    assert not warnings


def test_fractions_that_float32_rounds_are_warned_of(read, warnings):
    read_one(read(column(["1700000000.25", "1700000001.5", "1700000002.5"])))
    assert len(warnings) == 1
    assert "the numbers of column 'a' differ by about" in warnings[0]
    read_one(read(column(["0.1", "0.1", "0.1"])))
    read_one(read(column(["1990.5", "1991", "1992"])))
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"categories": ["c"]},
        {"numbers": ["c"]},
        {"categories": ["a"], "numbers": ["a"]},
        {"categories": ["a", "a"]},
        {"numbers": "ab"},
    ],
)
def test_names_that_are_no_features(read, options):
    message = r"`categories` and `numbers` must name columns of features once, among \['a'\]. Received: cat"
    with pytest.raises(ValueError, match=message):
        features.read_kinds(read(column([1])), ["a"], **options)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (np.array([20.5, NAN, 40, NAN], "float32"), "numbers", "numbers from 20.5 to 40, 2 missing"),
        (np.array([3, 1, 2], "float32"), "numbers", "numbers from 1 to 3, no value twice"),
        (np.array([NAN, NAN], "float32"), "numbers", "numbers, all missing"),
        (
            np.array([5, MISSING, 2**60]),
            "numbers",
            f"numbers (int64) from 5 to {2**60}, 1 missing, no value twice",
        ),
        (np.array([5, 5, 7, MISSING]), "categories", "categories: 2 integers (int64), 5, 7, 1 missing"),
        (np.array(list("abcda"), object), "categories", "categories: 4 strings, 'a', 'b', 'c', ..."),
        (
            np.array(["x" * 50, ""], object),
            "categories",
            f"categories: 1 strings, '{'x' * 12}...{'x' * 13}', 1 missing",
        ),
    ],
)
def test_descriptions(values, kind, text):
    assert features.describe(values, kind) == text
