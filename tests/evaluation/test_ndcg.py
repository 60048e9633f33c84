import numpy as np
import pytest
import sklearn.metrics

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("k", [None, 1, 3])
def test_is_that_of_scikit_learn_in_every_group(k):
    rows = 200
    labels, groups = RANDOM.integers(-1, 4, rows), RANDOM.integers(0, 30, rows)
    scores = np.round(RANDOM.normal(size=rows), 1)  # with ties
    expected = []
    for group in np.unique(groups):
        of_group = (groups == group) & (labels >= 0)
        gains = 2.0 ** labels[of_group] - 1.0
        if of_group.sum() > 1 and gains.any():
            expected.append(sklearn.metrics.ndcg_score([gains], [scores[of_group]], k=k))
        elif gains.any():
            expected.append(1.0)  # scikit-learn takes no list of one
    found = mz.evaluation.ndcg(labels, scores, groups, k)
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-10)


def test_the_order_of_equal_scores_does_not_matter():
    one, other = ([1, 0, 0], [0, 0, 1])
    found = [mz.evaluation.ndcg(labels, [0.5] * 3, [7] * 3, k=1) for labels in (one, other)]
    np.testing.assert_allclose(found, 1 / 3)


def test_without_a_relevant_row_it_is_not_defined():
    assert np.isnan(mz.evaluation.ndcg([0, 0, -1], [0.1, 0.2, 0.3], [1, 1, 1]))


def test_k_must_be_positive():
    with pytest.raises(ValueError, match=r"`k` must be an integer of at least 1. Received: k=0"):
        mz.evaluation.ndcg([1], [0.1], [1], k=0)


def test_large_labels_do_not_overflow():
    labels, scores, groups = [1500, 1499, 0, 1, 0], [0.2, 0.3, 0.1, 0.5, 0.6], [1, 1, 1, 2, 2]
    discounts = 1 / np.log2([2, 3])
    first = np.dot([0.5, 1.0], discounts) / np.dot([1.0, 0.5], discounts)  # gains over 2^1500
    np.testing.assert_allclose(mz.evaluation.ndcg(labels, scores, groups), (first + discounts[1]) / 2)
    with pytest.raises(ValueError, match=r"`labels` must be finite. Received: infinite ones"):
        mz.evaluation.ndcg([np.inf, 1.0], [0.1, 0.2], [1, 1])
