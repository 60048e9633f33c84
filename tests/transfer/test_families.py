"""Distributions of labels: against densities written out, and means of many draws."""

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.transfer.families import FAMILIES, family_of

LOGITS = np.array([[0.5, -1.0, 2.0]])
TASKS = {
    "categorical": mz.Task.classification("a", 3),
    "ordinal": mz.Task.ordinal("a", 3),
    "bernoulli": mz.Task.multilabel("a", 3),
    "poisson": mz.Task.count("a", 3),
    "gaussian": mz.Task.regression("a", 3),
}


def log_likelihood(name, labels, logits):
    family = FAMILIES[name]
    return np.sum(family.log_likelihood(labels, family.parameters(keras.ops.convert_to_tensor(logits))))


@pytest.mark.parametrize("name", TASKS)
def test_a_family_belongs_to_every_kind(name):
    assert family_of(TASKS[name]) == name
    mean = FAMILIES[name].mean(FAMILIES[name].parameters(keras.ops.convert_to_tensor(LOGITS)))
    np.testing.assert_allclose(mean, TASKS[name].activation(keras.ops.convert_to_tensor(LOGITS)), rtol=1e-6)


def test_a_ranking_and_an_unknown_activation_have_none():
    assert family_of(mz.Task.ranking("a", 3)) is None
    x = keras.Input((2,))
    model = keras.Model(x, keras.layers.Dense(3, "softmax")(x))
    task = mz.tasks_of(model, "categorical_crossentropy")[0]
    assert family_of(task) == "categorical"  # by its activation: its labels are vectors


@pytest.mark.parametrize("name", ["categorical", "ordinal", "bernoulli", "poisson", "gaussian"])
def test_log_likelihoods_are_those_of_the_losses(name):
    """All but the normal one are minus the task's loss, which the tests of kinds check by themselves."""
    task, labels = TASKS[name], {"categorical": [2], "ordinal": [2], "gaussian": [[1.0, 2.0, 3.0]]}
    given = np.asarray(labels.get(name, [[1.0, 0.0, 1.0]]))
    values = np.eye(3)[given] if task.labels_are_indices else given
    items = 1 if task.labels_are_indices else 3
    factor = 0.5 if name == "gaussian" else 1.0
    wanted = -factor * items * float(task.compute_loss(given, LOGITS.astype("float32")))
    np.testing.assert_allclose(log_likelihood(name, values, LOGITS), wanted, rtol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_draws_have_the_mean_and_are_labels(name):
    family, number = FAMILIES[name], 4000
    parameters = family.parameters(keras.ops.convert_to_tensor(np.repeat(LOGITS, number, axis=0)))
    drawn = np.asarray(family.draw(parameters, keras.random.SeedGenerator(0)))
    deviation = drawn.std(axis=0).max()
    np.testing.assert_allclose(
        drawn.mean(axis=0), family.mean(parameters)[0], atol=5 * deviation / number**0.5
    )
    if name in ("categorical", "ordinal"):
        np.testing.assert_array_equal(drawn.sum(axis=-1), 1.0)
    if name != "gaussian":
        np.testing.assert_array_equal(drawn, np.round(drawn))
    again = family.draw(parameters, keras.random.SeedGenerator(0))
    np.testing.assert_array_equal(drawn, again)
