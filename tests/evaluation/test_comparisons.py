import pytest
from scipy import stats

from mtl_zoo.evaluation.comparisons import comparisons, verdict
from mtl_zoo.evaluation.grid import Method
from mtl_zoo.experiments import Recipe

EQUAL, BETTER, SAME = (Method(name, Recipe()) for name in ("equal", "better", "same"))


def found(values, methods=(EQUAL, BETTER, SAME)):
    deltas = {name: dict(enumerate(x)) for name, x in values.items()}
    return comparisons(methods, lambda x: None if x is EQUAL else EQUAL, lambda x: deltas[x.name])


def test_differences_are_paired_by_seed_and_corrected_for_their_number():
    values = {"equal": (1.0, 2.0, 3.0), "better": (3.0, 4.1, 5.0), "same": (1.2, 1.9, 3.1)}
    better, same = found(values)
    tests = [stats.ttest_rel(values[name], values["equal"]) for name in ("better", "same")]
    assert better.difference == pytest.approx(2.0333333)
    assert (better.low, better.high) == pytest.approx(tests[0].confidence_interval())
    assert better.p_value == pytest.approx(2 * tests[0].pvalue)
    assert same.p_value == pytest.approx(tests[1].pvalue)
    assert better.is_beyond_chance
    assert not same.is_beyond_chance
    first, _, line = verdict([better, same])
    assert first == "1 of 2 differences is larger than chance, corrected for their number (Holm):"
    assert line.startswith("- better is 2.03 points of δm above equal (95% interval +1.89 to +2.18;")


def test_only_seeds_in_common_count():
    deltas = {"equal": {0: 1.0, 2: 3.0}, "better": {0: 3.0, 1: 9.0, 2: 5.5}}
    (only,) = comparisons([BETTER], lambda x: EQUAL, lambda x: deltas[x.name])
    assert (only.seeds, only.difference) == ((0, 2), 2.25)


def test_it_says_so_where_nothing_is_beyond_chance():
    (line,) = verdict(found({"equal": (1.0, 2.0), "better": (3.0, 2.0), "same": (1.0, 2.0)}))
    assert line.startswith("None of 2 differences is larger than chance")
    assert "The largest: better is 1.00 points of δm above equal" in line
    assert "not proven equal" in line


def test_one_seed_has_no_intervals():
    (line,) = verdict(found({"equal": (1.0,), "better": (3.0,), "same": (1.0,)}))
    assert line.startswith("There are no intervals with one seed")


def test_nothing_to_compare():
    assert found({"equal": (1.0,), "better": (), "same": ()}) == []
    assert "nothing to compare" in verdict([])[0]
