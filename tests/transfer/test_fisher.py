"""The Fisher information: against what can be worked out by hand, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.transfer import fisher

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
KERNEL, BIAS = np.array([[0.7], [-1.2], [0.3]]), np.array([0.4])
P = 1.0 / (1.0 + np.exp(-(X @ KERNEL + BIAS)))
LABELS = (RNG.uniform(size=P.shape) < P).astype(int)
PAIR = np.ones((3, 2)), np.zeros(2)
CLICK = mz.Task.binary("click")


def regression(units=1, weights=(KERNEL, BIAS), name="click"):
    """A model in float64 of one dense layer."""
    x = keras.Input((3,), dtype="float64")
    model = keras.Model(x, keras.layers.Dense(units, dtype="float64", name=name)(x))
    model.set_weights(list(weights))
    return model


def dataset(x, *labels, batch_size=7):
    return tf.data.Dataset.from_tensor_slices((x, *labels)).batch(batch_size)


def rows(x, scores):
    """Return the mean of the squares of gradients by the kernel and the bias, by hand."""
    return np.mean(scores**2 * x**2, axis=0)[:, None], np.mean(scores**2, axis=0)


def test_given_labels_of_a_logistic_regression():
    found = fisher(regression(), [CLICK], dataset(X, {"click": LABELS}), labels="given")
    kernel, bias = rows(X, LABELS - P)
    np.testing.assert_allclose(found["click/kernel"], kernel, rtol=1e-12)
    np.testing.assert_allclose(found["click/bias"], bias, rtol=1e-12)
    of_mean = np.mean((LABELS - P) * X, axis=0) ** 2
    assert found["click/kernel"].ravel().min() > 10 * of_mean.max()  # not the square of a mean
    again = fisher(regression(), [CLICK], dataset(X, {"click": LABELS}, batch_size=50), labels="given")
    np.testing.assert_array_equal(found["click/kernel"], again["click/kernel"])


def test_drawn_labels_of_a_logistic_regression():
    """With p = 1/2 the squared score is 1/4 whatever is drawn; else it is p (1 - p) in the mean."""
    fair = [np.zeros_like(KERNEL), np.zeros_like(BIAS)]
    found = fisher(regression(weights=fair), [CLICK], dataset(X))
    np.testing.assert_allclose(found["click/kernel"][:, 0], np.mean(0.25 * X**2, axis=0), rtol=1e-12)
    many = np.tile(X, (10, 1))
    found = fisher(regression(), [CLICK], dataset(many), examples=2000, seed=1)
    wanted = np.mean(P * (1 - P) * X**2, axis=0)
    np.testing.assert_allclose(found["click/kernel"][:, 0], wanted, rtol=0.2)
    again = fisher(regression(), [CLICK], dataset(many), examples=2000, seed=1)
    np.testing.assert_array_equal(found["click/kernel"], again["click/kernel"])


def test_missing_labels_do_not_count_and_examples_are_the_first():
    labels = LABELS.copy()
    labels[50:] = -1
    found = fisher(regression(), [CLICK], dataset(X, {"click": labels}), labels="given")
    first = fisher(regression(), [CLICK], dataset(X, {"click": LABELS}), labels="given", examples=50)
    for key, values in first.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-12)


def test_classes_numbers_and_counts():
    weights = RNG.normal(size=(3, 4)) / 3, RNG.normal(size=4) / 3
    z = X @ weights[0] + weights[1]
    kind = RNG.integers(0, 4, len(X))
    values = RNG.poisson(1.0, z.shape).astype("float32")
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    cases = [
        (mz.Task.classification("a", 4), kind, np.eye(4)[kind] - p),
        (mz.Task.regression("a", 4), values, values - z),
        (mz.Task.count("a", 4), values, values - np.exp(z)),
    ]
    for task, labels, scores in cases:
        model = regression(4, weights, "a")
        found = fisher(model, [task], dataset(X, {"a": labels}), labels="given")
        wanted = np.einsum("nk,ni->ik", scores**2, X**2) / len(X)
        np.testing.assert_allclose(found["a/kernel"], wanted, rtol=1e-6)


def test_tasks_add_up_and_what_they_do_not_reach_is_left_out():
    tasks = [mz.Task.binary("a"), mz.Task.regression("b")]
    others = [*tasks, mz.Task.binary("c")]
    model = mz.architectures.hard_sharing(keras.Input((3,)), others, mz.encoders.mlp(4, activation="tanh"))
    data = dataset(X.astype("float32"), {"a": LABELS, "b": X[:, :1].astype("float32")})
    both = fisher(model, tasks, data, labels="given")
    alone = [fisher(model, [task], data, labels="given") for task in tasks]
    assert set(both) == {
        f"{x}/{w}" for x in ("shared_1_dense", "a_logits", "b_logits") for w in ("kernel", "bias")
    }
    total = sum(found["shared_1_dense/kernel"] for found in alone)
    np.testing.assert_allclose(both["shared_1_dense/kernel"], total, rtol=1e-5)


def test_padding_has_no_likelihood():
    tokens = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(5, 3, mask_zero=True, name="embedding")(tokens)
    task = mz.Task.tagging("tags", 4)
    model = keras.Model(tokens, {"tags": mz.heads.head(embedded, task)})
    padded, labels = np.array([[1, 2, 0, 0]]), np.array([[3, 1, 2, 2]])
    short = fisher(model, [task], dataset(padded[:, :2], {"tags": labels[:, :2]}), labels="given")
    found = fisher(model, [task], dataset(padded, {"tags": labels}), labels="given")
    for key, values in short.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-5)
    drawn = fisher(model, [task], dataset(padded), seed=0)
    assert not drawn["embedding/embeddings"][0].any()
    assert drawn["embedding/embeddings"][1].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {
                "tasks": [mz.Task.ranking("click", 2)],
                "model": regression(2, (RNG.normal(size=(3, 2)), np.zeros(2))),
            },
            "must have a likelihood",
        ),
        ({"labels": "guessed"}, "`labels` must be one of"),
        ({"dataset": X}, "`dataset` must be an instance"),
        ({"dataset": dataset(X).take(0)}, "at least one example"),
        ({"dataset": dataset(X, {"click": LABELS + 5}), "labels": "given"}, "at most 1"),
        ({"dataset": dataset(X, {"buy": LABELS}), "labels": "given"}, "must have labels"),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises((TypeError, ValueError, tf.errors.OpError), match=message):
        fisher(**{"model": regression(), "tasks": [CLICK], "dataset": dataset(X), **given})
