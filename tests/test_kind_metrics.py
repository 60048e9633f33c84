import keras
import numpy as np
import pytest
import sklearn.metrics

from mtl_zoo import Task, kind_metrics

RELEVANCE = np.array([[3.0, 0.0, 2.0, np.nan], [1.0, 0.0, -1.0, 0.0]], "float32")
SCORES = np.array([[0.1, 0.5, 0.3, 9.0], [0.2, 0.2, 7.0, 0.1]], "float32")


def test_a_tie_counts_one_half():
    metric = kind_metrics.PairwiseAccuracy()
    metric.update_state(RELEVANCE, SCORES)
    np.testing.assert_allclose(metric.result(), (0 / 3 + 1.5 / 2) / 2)


def test_ndcg_is_that_of_scikit_learn_without_ties():
    metric = kind_metrics.NDCG()
    metric.update_state(RELEVANCE[:1], SCORES[:1])
    expected = sklearn.metrics.ndcg_score([[7.0, 0.0, 3.0]], SCORES[:1, :3])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def test_ndcg_is_that_of_scikit_learn_with_ties():
    metric = kind_metrics.NDCG()
    metric.update_state(RELEVANCE[1:], SCORES[1:])
    expected = sklearn.metrics.ndcg_score([[1.0, 0.0, 0.0]], SCORES[1:, [0, 1, 3]])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
    assert expected < 1


def test_deviance_is_that_of_scikit_learn():
    counts, rates = np.array([[0.0], [3.0], [1.0]]), np.array([[0.5], [2.0], [1.0]])
    metric = kind_metrics.PoissonDeviance()
    metric.update_state(counts, rates, sample_weight=[1.0, 2.0, 3.0])
    expected = sklearn.metrics.mean_poisson_deviance(counts, rates, sample_weight=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def test_distance_of_classes():
    metric = kind_metrics.ClassDistance()
    metric.update_state([2, 0], [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert float(metric.result()) == 1.5


@pytest.mark.parametrize("kind", ["PoissonDeviance", "ClassDistance", "PairwiseAccuracy", "NDCG"])
def test_metrics_are_saved_by_name(kind):
    metric = getattr(kind_metrics, kind)(name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_ndcg_of_the_first_places_is_that_of_scikit_learn():
    metric = kind_metrics.NDCG(k=2)
    metric.update_state(RELEVANCE[:1], SCORES[:1])
    expected = sklearn.metrics.ndcg_score([[7.0, 0.0, 3.0]], SCORES[:1, :3], k=2)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)
    again = kind_metrics.NDCG.from_config(metric.get_config())
    assert (metric.name, again.name, again.k) == ("ndcg_at_2", "ndcg_at_2", 2)
    with pytest.raises(ValueError, match=r"`k` must be an integer of at least 1. Received: k=0"):
        kind_metrics.NDCG(k=0)


def test_ndcg_of_large_relevances_does_not_overflow():
    metric = kind_metrics.NDCG()
    metric.update_state(np.array([[1500.0, 1499.0, 0.0]], "float32"), np.array([[0.2, 0.3, 0.1]], "float32"))
    discounts = 1 / np.log2([2, 3])
    expected = np.dot([0.5, 1.0], discounts) / np.dot([1.0, 0.5], discounts)  # gains over 2^1500
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "task"),
    [
        (kind_metrics.NDCG(), Task.regression("t", 3)),
        (kind_metrics.PairwiseAccuracy(), Task.classification("t", 3)),
        (kind_metrics.ClassDistance(), Task.binary("t")),
        (kind_metrics.PoissonDeviance(), Task.classification("t", 3)),
    ],
)
def test_labels_of_another_kind_are_refused(metric, task):
    with pytest.raises(ValueError, match=rf"'{metric.name}' must be of a task whose labels are .*task 't'"):
        metric.check_task(task)


@pytest.mark.parametrize(
    "task", [Task.ranking("t", 3), Task.ordinal("t", 3), Task.count("t"), Task.count("t", 2)]
)
def test_labels_of_its_kind_are_taken(task):
    for metric in task.make_metrics():
        if isinstance(metric, kind_metrics.OfItems):
            assert metric.check_task(task) is None
