import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.conversion import ConversionAUC

LABELS = np.array([1, 0, -1, 0, 1, -1])


def outputs(columns):
    return np.random.default_rng(0).normal(size=(len(LABELS), columns)).astype("float32")


def by_hand(labels, outputs, most):
    """Return the risk in float64, as the paper writes it."""
    outputs = outputs.astype("float64")
    clicked, bought = labels >= 0, np.maximum(labels, 0)
    rate, propensity = (1 / (1 + np.exp(-outputs[:, column])) for column in (0, 1))
    error = -bought * np.log(rate) - (1 - bought) * np.log(1 - rate)
    weight = clicked * np.minimum(1 / propensity, most)
    if outputs.shape[1] == 2:
        return np.mean(weight * error)
    guess = np.log1p(np.exp(outputs[:, 2]))
    return np.mean(guess + weight * (error - guess) + weight * (error - guess) ** 2)


@pytest.mark.parametrize("most", [15.0, 1.5])
@pytest.mark.parametrize(("estimator", "columns"), [("ips", 2), ("dr", 3)])
def test_values_by_hand(estimator, columns, most):
    task = mz.conversion_task("bought", estimator, max_weight=most)
    assert task.output_shape == (columns,)
    found = task.compute_loss(LABELS, outputs(columns))
    np.testing.assert_allclose(found, by_hand(LABELS, outputs(columns), most), rtol=1e-5)
    floats = np.where(LABELS < 0, np.nan, LABELS).astype("float32")  # as tables have it
    np.testing.assert_allclose(task.compute_loss(floats[:, None], outputs(columns)), found, rtol=1e-6)


def test_the_best_rate_is_that_of_all_examples_and_not_of_the_clicked_ones():
    # Of 20 users, 10 click and 8 of these buy; of 20 others, 5 click and 1 buys. Were all to click, 16 and 4
    # would buy, which is one half; of those that clicked, 9 of 15 did.
    labels = np.repeat([1, 0, -1, 1, 0, -1], [8, 2, 10, 1, 4, 15])
    propensity = np.log(np.repeat([0.5 / 0.5, 0.25 / 0.75], 20)).astype("float32")
    slopes = {}
    for name, task in {"ips": mz.conversion_task("a", "ips"), "naive": mz.Task.binary("a")}.items():
        logit = tf.Variable(0.0)  # of the rate one half, for all
        with tf.GradientTape() as tape:
            column = logit + tf.zeros(40)
            columns = [column, propensity] if name == "ips" else [column]
            loss = task.compute_loss(labels, tf.stack(columns, axis=1))
        slopes[name] = float(tape.gradient(loss, logit))
    np.testing.assert_allclose(slopes["ips"], 0.0, atol=1e-7)
    np.testing.assert_allclose(slopes["naive"], 0.5 - 9 / 15, rtol=1e-5)


def test_no_gradient_flows_through_propensities():
    with tf.GradientTape() as tape:
        x = tf.Variable(outputs(3))
        loss = mz.conversion_task("bought").compute_loss(LABELS, x)
    gradient = tape.gradient(loss, x).numpy()
    assert not np.any(gradient[:, 1])
    assert np.all(gradient[:, 2])
    np.testing.assert_array_equal(gradient[:, 0] != 0, LABELS >= 0)


def test_extreme_logits_are_finite():
    x = np.array([[0, -1e4, 0], [1e4, 1e4, -1e4]], "float32")
    assert np.isfinite(mz.conversion_task("bought").compute_loss([1, 0], x))


def test_the_metric_looks_at_clicked_examples_alone():
    metric, plain = ConversionAUC(name="auc"), keras.metrics.AUC()
    scores = np.array([[0.9], [0.6], [0.1], [0.7], [0.65], [0.99]], "float32")
    metric.update_state(LABELS, scores, sample_weight=np.array([1, 2, 1, 1, 1, 1]))
    there = LABELS >= 0
    plain.update_state(LABELS[there], scores[there, 0], sample_weight=[1, 2, 1, 1])
    np.testing.assert_allclose(metric.result(), plain.result())


def test_the_task_can_be_made_again_from_plain_values():
    task = mz.conversion_task("bought", "ips", max_weight=3)
    copy = mz.Task.from_config(task.get_config())
    np.testing.assert_array_equal(
        copy.compute_loss(LABELS, outputs(2)), task.compute_loss(LABELS, outputs(2))
    )
    assert mz.kinds.kind_of(copy) == "conversion"
    assert set(copy.headline) == {metric.name for metric in copy.make_metrics()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "naive"}, r"`estimator` must be one of \['dr', 'ips'\]. Received: estimator='naive'"),
        ({"max_weight": 0.5}, "`max_weight` must be at least 1. Received: max_weight=0.5"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        mz.conversion_task("bought", **arguments)
