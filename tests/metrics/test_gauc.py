import keras
import numpy as np
import pytest

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)
ROWS, GROUPS = 400, 30


def draw(step=None):
    """Return labels, probabilities, groups and weights; log-odds in the middles of bins of a width."""
    labels, groups = RANDOM.integers(0, 2, ROWS), RANDOM.integers(0, GROUPS, ROWS)
    logits = RANDOM.normal(size=ROWS) + labels
    if step is not None:
        logits = (np.floor(logits / step) + 0.5) * step
    return labels, 1 / (1 + np.exp(-logits)), groups, RANDOM.random(ROWS)


def measured(metric, labels, predictions, groups, weights, batch=150):
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        pairs = np.stack([labels, groups], axis=-1)[rows]
        metric.update_state(pairs, predictions[rows], sample_weight=weights[rows])
    return float(metric.result())


def test_is_exact_where_equal_bins_are_equal_predictions():
    table = draw(step=0.1)
    found = measured(mz.metrics.GAUC("user", GROUPS), *table)
    np.testing.assert_allclose(found, mz.evaluation.gauc(*table), rtol=1e-5)


def test_is_near_elsewhere():
    table = draw()
    found = measured(mz.metrics.GAUC("user", GROUPS), *table)
    np.testing.assert_allclose(found, mz.evaluation.gauc(*table), atol=0.01)


def test_the_extreme_predictions_are_told_apart():
    metric = mz.metrics.GAUC("user", 1)
    assert measured(metric, np.array([0, 1, 1]), np.array([0.0, 1.0, 1e-6]), np.zeros(3), np.ones(3)) == 1.0


@pytest.mark.parametrize(("group", "prediction"), [(2, 0.5), (-1, 0.5), (0.5, 0.5), (0, 1.5), (0, np.nan)])
def test_what_is_not_known_is_not_counted_in_silence(group, prediction):
    labels, groups = np.array([0, 1, 1]), np.array([0, 0, group])
    predictions, metric = np.array([0.1, 0.2, prediction]), mz.metrics.GAUC("user", 2)
    assert np.isnan(measured(metric, labels, predictions, groups, np.ones(3)))
    metric.reset_state()
    assert measured(metric, labels, predictions, groups, np.array([1.0, 1.0, 0.0])) == 1.0


def test_is_not_defined_without_a_group_of_both_labels():
    metric = mz.metrics.GAUC("user", 2)
    assert np.isnan(measured(metric, np.array([0, 1]), np.full(2, 0.5), np.array([0, 1]), np.ones(2)))


def test_is_saved_by_name():
    metric = mz.metrics.GAUC("user", 5, num_bins=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
    assert (type(again), again.group, again.num_groups) == (mz.metrics.GAUC, "user", 5)
