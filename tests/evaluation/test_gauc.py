import numpy as np
import pytest
import sklearn.metrics

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("weighted", [False, True])
def test_is_that_of_scikit_learn_in_every_group(weighted):
    rows = 300
    labels, groups = RANDOM.integers(-1, 2, rows), RANDOM.integers(0, 40, rows)
    scores = np.round(RANDOM.normal(size=rows) + labels, 1)  # with ties
    weights = RANDOM.random(rows) if weighted else np.ones(rows)
    areas, sizes = [], []
    for group in np.unique(groups):
        of_group = (groups == group) & (labels >= 0)
        if len(set(labels[of_group])) == 2:
            found = labels[of_group], scores[of_group]
            areas.append(sklearn.metrics.roc_auc_score(*found, sample_weight=weights[of_group]))
            sizes.append(weights[of_group].sum())
    assert 20 < len(areas) < 40
    found = mz.evaluation.gauc(labels, scores, groups, weights if weighted else None)
    np.testing.assert_allclose(found, np.average(areas, weights=sizes), rtol=1e-10)


def test_one_group_is_the_whole_area_and_columns_are_taken():
    labels, scores = RANDOM.integers(0, 2, 50), RANDOM.normal(size=50)
    expected = sklearn.metrics.roc_auc_score(labels, scores)
    columns = (x[:, None] for x in (labels, scores, np.full(50, "user")))
    np.testing.assert_allclose(mz.evaluation.gauc(*columns), expected, rtol=1e-10)


def test_a_user_who_clicks_more_does_not_help():
    labels, groups = [1, 1, 0, 0, 0, 1], ["a", "a", "a", "b", "b", "b"]
    assert mz.evaluation.gauc(labels, [0.9, 0.9, 0.9, 0.1, 0.1, 0.1], groups) == 0.5


def test_without_a_group_of_both_labels_it_is_not_defined():
    assert np.isnan(mz.evaluation.gauc([1, 0], [0.1, 0.2], ["a", "b"]))
    assert np.isnan(mz.evaluation.gauc([-1, np.nan], [0.1, 0.2], ["a", "a"]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (([1, 0], [0.1], [1, 1]), r"`sample_weight`.* must be of one length. Received: \[2, 1, 2, 2\]"),
        (([2, 0], [0.1, 0.2], [1, 1]), r"`labels` must be at most 1. Received: 2.0 among them"),
        (([1, 0], [np.nan, 0.2], [1, 1]), "`scores` must be finite where there are labels"),
        (([1, 0], np.ones((2, 2)), [1, 1]), r"`scores` must have shape \[rows\] or \[rows, 1\]. Received"),
        (([1, 0], [0.1, 0.2], [1, 1], [1, -1]), "`sample_weight` must not be negative. Received: -1"),
    ],
)
def test_what_is_no_table_of_answers(given, message):
    with pytest.raises(ValueError, match=message):
        mz.evaluation.gauc(*given)
