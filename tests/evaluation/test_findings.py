import pytest

from mtl_zoo.evaluation.findings import text
from mtl_zoo.evaluation.probe import Probe


def probe(cosines=(0.5,), norms=(1.0, 2.0), labelled=(1.0, 1.0)):
    """Return a probe of tasks a, b and so on, by the cosines of their pairs in order."""
    names = tuple("abcdef"[: len(norms)])
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    known = dict(zip(pairs, cosines, strict=True))
    matrix = tuple(
        tuple(known.get((min(i, j), max(i, j))) for j in range(len(names))) for i in range(len(names))
    )
    return Probe(names, 64, matrix, norms, labelled)


def test_nothing_found():
    assert text(probe()).splitlines() == [
        "In 64 updates with equal weights:",
        "- No gradients conflict: the lowest mean cosine of two tasks is 0.50.",
        "- The gradients are of similar length: the longest is 2.0 times the shortest.",
        "- No labels are rare: every task has at least 100% of them.",
        "",
        "There is no reason to expect more from a balancer than from tuned equal weights.",
    ]


@pytest.mark.parametrize(("cosine", "conflicts"), [(-0.09, False), (-0.11, True)])
def test_conflicts_are_clearly_below_zero(cosine, conflicts):
    found = text(probe(cosines=(cosine,)))
    assert (f"The gradients of a and b conflict: their mean cosine is {cosine}." in found) == conflicts
    assert ("Worth trying: an aggregator that settles conflicts" in found) == conflicts


@pytest.mark.parametrize(
    ("norms", "sentence"),
    [
        ((1.0, 3.0), "b is 3.0 times as long as that of a"),
        ((5.0, 1.0), "a is 5.0 times as long as that of b"),
    ],
)
def test_long_gradients(norms, sentence):
    found = text(probe(norms=norms))
    assert f"The gradient of {sentence}." in found
    assert found.splitlines()[-1].startswith("Worth trying: weights that even out the tasks")


def test_rare_labels():
    found = text(probe(labelled=(0.9, 0.034)))
    assert "- b has 3.4% of its labels." in found
    assert found.endswith("Worth trying: larger batches, or `accumulate`, for the tasks of few labels.")


def test_many_findings_are_counted():
    cosines = [-0.2, 0.5, -0.6, -0.3, -0.4, -0.5]
    lines = text(probe(cosines, norms=(1.0, 9.0, 8.0, 7.0), labelled=(0.1, 0.1, 0.1, 0.1))).splitlines()
    assert lines[1].startswith("- The gradients of a and d conflict: their mean cosine is -0.60; ")
    assert lines[1].endswith("is -0.40; and 2 more.")
    assert lines[2].endswith("; the gradient of d is 7.0 times as long as that of a.")
    assert lines[3].endswith("c has 10.0% of its labels; and 1 more.")
    assert lines[-1].count(";") == 2


def test_tasks_that_share_nothing():
    lines = text(probe(cosines=(None,), norms=(None, None))).splitlines()
    assert lines[1] == "- The tasks share nothing in which their gradients could conflict."
    assert lines[2] == "- There are no two gradients in what is shared, whose lengths could differ."
    assert lines[-1].startswith("There is no reason")
