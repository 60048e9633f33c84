import math

import pytest

from mtl_zoo.datasets import cells


@pytest.mark.parametrize(
    ("cell", "value"), [("1", 1), ("-2.5e1", -25), ("+.5", 0.5), ("3.4e38", 3.4e38), ("nan", math.nan)]
)
def test_numbers(cell, value):
    assert cells.is_number(cell)
    assert cells.number(cell) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("cell", ["1_0", "1,0", "x", "inf", "-inf", "1e39", "2024-01-31", ""])
def test_what_is_no_finite_number(cell):
    with pytest.raises(ValueError, match=f"must be a finite number. Received: '{cell}'"):
        cells.number(cell)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0", 0),
        ("16777217", 16777217),
        ("-9223372036854775808", -(2**63)),
        ("+5", 5),
        ("9007199254740993.0", 2**53 + 1),  # which a float would round
        ("007", None),
        ("-07", None),
        ("1.5", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        ("9" * 5000, None),
    ],
)
def test_integers_are_exact(cell, value):
    assert cells.integer(cell) == value


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        *(
            (cell, True)
            for cell in ("12", "1,234.5", "1.234,5", "1 234", "1'234", "12,5", "-$3", "€5", "40%")
        ),
        *((cell, False) for cell in ("", "a1", "2024-01-31", "10.0.0.1", "12:30", "1,23,4", "%")),
    ],
)
def test_what_looks_like_a_number(cell, expected):
    assert cells.looks_like_number(cell) == expected


def test_markers_are_those_of_pandas_and_a_question_mark():
    # https://pandas.pydata.org/docs/reference/api/pandas.read_csv.html, na_values
    pandas = (
        " #N/A,#N/A N/A,#NA,-1.#IND,-1.#QNAN,-NaN,-nan,1.#IND,1.#QNAN,<NA>,N/A,NA,NULL,NaN,None,n/a,nan,null"
    )
    assert set(cells.MARKERS) == {"", "?", *pandas.strip().split(",")}
