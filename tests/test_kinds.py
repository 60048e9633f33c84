"""Counts, ordered classes and rankings; label smoothing: numbers by hand, in float64."""

import keras
import numpy as np
import sklearn.metrics
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.kinds import kind_of

NAN = np.nan
RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(5, 4)).astype("float32")
RELEVANCE = np.array(
    [[2, 0, 1, NAN], [1, 1, 1, 1], [NAN, NAN, NAN, NAN], [0, 3, -1, 3], [0, 0, 0, 1]], "float32"
)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, "float64")))


def ordinal(logits):
    """Return the probabilities of classes as differences of those of reaching them."""
    z = logits.astype("float64")
    thresholds = np.cumsum(np.concatenate([z[:, 1:2], np.log1p(np.exp(z[:, 2:]))], axis=1), axis=1)
    reached = sigmoid(z[:, :1] - thresholds)
    padded = np.concatenate([np.ones((len(z), 1)), reached, np.zeros((len(z), 1))], axis=1)
    return padded[:, :-1] - padded[:, 1:]


def pairs_of(relevance):
    there = relevance >= 0
    return [
        (i, j) for i in np.flatnonzero(there) for j in np.flatnonzero(there) if relevance[i] > relevance[j]
    ]


def lists(value):
    """Return the mean of `value(i, j)` of the pairs of every list that has some."""
    found = [np.mean([value(row, i, j) for i, j in pairs_of(RELEVANCE[row])]) for row in (0, 3, 4)]
    return np.array(found, "float64")


def metrics_of(task, labels, logits, sample_weight=None):
    metrics = mz.training.task_metrics.TaskMetrics(task)
    metrics.update_state(task.items(labels, logits, sample_weight), labels, sample_weight)
    return {name.removeprefix(f"{task.name}_"): float(value) for name, value in metrics.results().items()}


def test_counts_by_hand():
    task = mz.Task.count("visits", 2)
    logits = np.array([[0.5, -1.0], [2.0, 0.0], [1.0, 1.0]], "float32")
    labels = np.array([[3, 0], [-1, 2], [NAN, 1]], "float32")
    there = labels >= 0
    rates, counts = np.exp(logits.astype("float64"))[there], labels[there]
    expected = np.mean(rates - counts * logits[there])
    np.testing.assert_allclose(task.compute_loss(labels, logits), expected, rtol=1e-6)
    np.testing.assert_allclose(task.activation(logits), np.exp(logits), rtol=1e-6)
    found = metrics_of(task, labels, logits)
    np.testing.assert_allclose(found["mean_absolute_error"], np.mean(np.abs(rates - counts)), rtol=1e-5)
    deviance = sklearn.metrics.mean_poisson_deviance(counts, rates)
    np.testing.assert_allclose(found["poisson_deviance"], deviance, rtol=1e-5)


def test_integers_are_counts_and_no_logit_overflows():
    task = mz.Task.count("visits")
    labels, logits = np.array([4, 0, -1]), tf.constant([[1.0], [1000.0], [9e9]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = task.compute_loss(labels, logits)
    gradient = tape.gradient(loss, logits)
    assert np.isfinite(loss)
    np.testing.assert_allclose(gradient[0], [(np.e - 4) / 2], rtol=1e-6)
    assert np.isfinite(gradient[1, 0])
    assert gradient[1, 0] > 1e30
    assert gradient[2, 0] == 0


def test_ordered_classes_by_hand():
    task = mz.Task.ordinal("stars", 4, class_weight={3: 5})
    logits, labels = 2 * RANDOM.normal(size=(6, 4)).astype("float32"), np.array([0, 3, 1, -1, 2, 3])
    expected, there = ordinal(logits), labels >= 0
    np.testing.assert_allclose(task.activation(logits), expected, rtol=1e-5)
    losses = -np.log(expected[there, labels[there]])
    weights = np.where(labels == 3, 5, 1)[there]
    np.testing.assert_allclose(
        task.compute_loss(labels, logits), np.average(losses, weights=weights), rtol=1e-5
    )
    distances = np.abs(np.argmax(expected, axis=1) - labels)[there]
    found = metrics_of(task, labels, logits)
    np.testing.assert_allclose(found["accuracy"], np.mean(distances == 0))
    np.testing.assert_allclose(found["mean_absolute_error"], np.mean(distances))


def test_the_loss_of_ordered_classes_is_finite_however_large_the_logits():
    logits = tf.constant(np.array([[200, -200, 90, -90], [-200, 200, -90, 90]], "float32"))
    for label in range(4):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = mz.Task.ordinal("stars", 4).compute_loss([label, label], logits)
        assert np.isfinite(loss)
        assert np.all(np.isfinite(tape.gradient(loss, logits)))


def test_rankings_by_hand():
    task = mz.Task.ranking("hits", 4)
    ahead = SCORES.astype("float64")[:, :, None] - SCORES[:, None, :]
    losses = lists(lambda row, i, j: np.log1p(np.exp(-ahead[row, i, j])))
    np.testing.assert_allclose(task.compute_loss(RELEVANCE, SCORES), losses.mean(), rtol=1e-5)
    weights = np.array([1, 9, 9, 2, 3], "float32")
    expected = np.average(losses, weights=[1, 2, 3])
    np.testing.assert_allclose(task.compute_loss(RELEVANCE, SCORES, weights), expected, rtol=1e-5)
    found = metrics_of(task, RELEVANCE, SCORES, weights)
    in_order = lists(lambda row, i, j: ahead[row, i, j] > 0)
    np.testing.assert_allclose(found["pairwise_accuracy"], np.average(in_order, weights=[1, 2, 3]), rtol=1e-5)
    gains = [
        sklearn.metrics.ndcg_score([2.0 ** RELEVANCE[row][there] - 1], [SCORES[row][there]])
        for row, there in ((row, RELEVANCE[row] >= 0) for row in (0, 3, 4))
    ]
    np.testing.assert_allclose(found["ndcg"], np.average(gains, weights=[1, 2, 3]), rtol=1e-5)


def test_padding_of_a_ranking_gets_no_gradient():
    scores = tf.constant(SCORES)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        loss = mz.Task.ranking("hits", 4).compute_loss(RELEVANCE, scores)
    gradient = tape.gradient(loss, scores).numpy()
    there = (RELEVANCE >= 0) & np.isin(np.arange(5), (0, 3, 4))[:, None]
    assert np.all(gradient[~there] == 0)
    assert np.all(gradient[there] != 0)


def test_a_trainer_measures_what_the_tasks_say():
    tasks = [mz.Task.count("visits"), mz.Task.ordinal("stars", 4), mz.Task.ranking("hits", 4)]
    assert [kind_of(task) for task in tasks] == ["count", "ordinal", "ranking"]
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, tasks, aggregator=mz.aggregators.PCGrad())
    trainer.compile("adam")
    x = RANDOM.normal(size=(5, 3)).astype("float32")
    labels = {"visits": np.array([3, 0, -1, 1, 2]), "stars": np.array([0, -1, 3, 2, 1]), "hits": RELEVANCE}
    trainer.fit(x, labels, verbose=0)
    logits, predictions = trainer.predict_logits(x, verbose=0), trainer.predict(x, verbose=0)
    found = trainer.evaluate(x, labels, verbose=0, return_dict=True)
    for task in tasks:
        expected = task.compute_loss(labels[task.name], logits[task.name])
        np.testing.assert_allclose(found[f"{task.name}_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(predictions["visits"], np.exp(logits["visits"]), rtol=1e-5)
    np.testing.assert_allclose(predictions["stars"], ordinal(logits["stars"]), rtol=1e-4)
    np.testing.assert_array_equal(predictions["hits"], logits["hits"])
