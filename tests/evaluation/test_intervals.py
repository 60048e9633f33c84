import numpy as np
import pytest
import scipy.stats

import mtl_zoo as mz
from mtl_zoo.evaluation.delta_m import delta_m
from mtl_zoo.evaluation.intervals import holm, interval, paired_difference

VALUES = [0.7, 0.9, 0.4, 0.8]
REFERENCE = [0.6, 0.5, 0.5, 0.6]


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_equals_scipy(level):
    expected = scipy.stats.ttest_1samp(VALUES, 0).confidence_interval(level)
    assert interval(VALUES, level) == pytest.approx((0.7, expected.low, expected.high))
    test = scipy.stats.ttest_rel(VALUES, REFERENCE)
    expected = test.confidence_interval(level)
    found = paired_difference(VALUES, REFERENCE, level)
    assert found == pytest.approx((0.15, expected.low, expected.high, test.pvalue))


def test_one_seed_has_no_interval():
    assert interval([0.5]) == (0.5, None, None)
    assert paired_difference([0.5], [0.75]) == (-0.25, None, None, None)


def test_no_spread():
    assert interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    assert paired_difference(VALUES, VALUES) == (0.0, 0.0, 0.0, 1.0)
    assert paired_difference([2.0, 3.0], [1.0, 2.0]) == (1.0, 1.0, 1.0, 0.0)


def test_refuses():
    for values in ([], [1.0, float("nan")], 3.0):
        with pytest.raises(ValueError, match=r"`values` must hold finite numbers"):
            interval(values)
    with pytest.raises(ValueError, match=r"`level` must be above 0 and below 1"):
        interval(VALUES, 95)
    with pytest.raises(ValueError, match=r"must be of the same seeds. Received: 4 and 2 of them"):
        paired_difference(VALUES, [1.0, 2.0])
    with pytest.raises(ValueError, match=r"`p_values` must be between 0 and 1"):
        holm([0.5, 1.5])


def test_holm_by_hand():
    """The example of four: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04 lifted to that of 0.03."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02, None, 0.5]) == [0.04, None, 0.5]
    assert holm([None]) == [None]
    assert holm([]) == []


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_95_percent_interval_of_the_improvement_covers_the_truth_in_95_of_100_studies(seeds):
    """Method and baseline both vary with the seed; the baseline is that of the same seed."""
    random = np.random.default_rng(seeds)
    tasks = [mz.Task.binary("a", headline={"auc": "max"}), mz.Task.regression("b", headline={"mae": "min"})]
    expected, noise = {"a_auc": (0.82, 0.80), "b_mae": (4.1, 4.0)}, {"a_auc": 0.01, "b_mae": 0.1}

    def draw(size):
        return [
            {name: random.normal(means[side], noise[name], size) for name, means in expected.items()}
            for side in range(2)
        ]

    method, single = draw(1_000_000)
    ratios = {name: np.mean(method[name] / single[name]) - 1.0 for name in expected}
    truth = 100.0 * (ratios["a_auc"] - ratios["b_mae"]) / 2
    covered = 0
    for _ in range(1000):
        method, single = draw(seeds)
        seed_by_seed = [
            [{name: values[seed] for name, values in side.items()} for side in (method, single)]
            for seed in range(seeds)
        ]
        _, low, high = interval([delta_m(*pair, tasks) for pair in seed_by_seed])
        covered += low <= truth <= high
    assert 930 <= covered <= 970
