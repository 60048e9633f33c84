import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.evaluation.probe import Probe, probe
from mtl_zoo.experiments import Recipe

RECIPE = Recipe(
    dataset="scaled_regression", encoder="mlp:units=[5, 4]", balancer="dwa", aggregator="pcgrad", batch_size=8
)


def fixed_batch(large_labels=8):
    """Return one batch of labels of which the second task has some."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (8, 250)).astype("float32")
    labels = {"small": random.normal(size=(8, 100)), "large": 30 * random.normal(size=(8, 100))}
    labels["large"][large_labels:] = np.nan
    return x, {name: values.astype("float32") for name, values in labels.items()}


@pytest.fixture
def load(monkeypatch):
    """Have the data set consist of batches; return the function that gives them."""

    def give(*batches):
        def read(split, batch_size, data_dir=None, seed=0, draw=0):
            x, y = (
                tf.nest.map_structure(lambda *parts: np.stack(parts), *part)
                for part in zip(*batches, strict=True)
            )
            return tf.data.Dataset.from_tensor_slices((x, y))

        monkeypatch.setattr(mz.datasets.scaled_regression, "load", read)

    return give


def measured_by_hand(batch, steps):
    """Return the cosine of two gradients in what is shared, and their lengths, by plain Keras."""
    x, y = batch
    model = Recipe(dataset=RECIPE.dataset, encoder=RECIPE.encoder).model()
    shared = [v for v in model.trainable_variables if not v.path.startswith(("small", "large"))]
    optimizer = keras.optimizers.Adam(1e-3)

    def losses():
        found = model(x)
        return [
            tf.reduce_sum(tf.where(np.isnan(y[name]), 0.0, (found[name] - np.nan_to_num(y[name])) ** 2))
            / np.sum(~np.isnan(y[name]))
            for name in ("small", "large")
        ]

    rows = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            total = sum(losses())
        optimizer.apply(tape.gradient(total, model.trainable_variables), model.trainable_variables)
        with tf.GradientTape(persistent=True) as tape:
            found = losses()
        vectors = [np.concatenate([np.ravel(g) for g in tape.gradient(loss, shared)]) for loss in found]
        lengths = [np.linalg.norm(vector) for vector in vectors]
        rows.append([vectors[0] @ vectors[1] / np.prod(lengths), *lengths])
    return np.mean(rows, axis=0)


def test_numbers_are_those_of_plain_keras(load):
    batch = fixed_batch(large_labels=2)
    load(batch)
    found = probe(RECIPE, steps=3)
    cosine, *lengths = measured_by_hand(batch, steps=3)
    assert (found.tasks, found.steps, found.labelled) == (("small", "large"), 3, (1.0, 0.25))
    np.testing.assert_allclose(found.norms, lengths, rtol=1e-4)
    assert found.cosines == ((None, pytest.approx(cosine, rel=1e-4)), (pytest.approx(cosine, rel=1e-4), None))


def test_a_probe_survives_json_and_becomes_text_and_picture():
    found = Probe(("small", "large"), 64, ((None, 0.5), (0.5, None)), (1.0, 9.0), (1.0, 0.5))
    again = Probe.from_config(json.loads(json.dumps(found.get_config())))
    assert again == found
    assert again.text().startswith("In 64 updates with equal weights:")
    assert "The gradient of large is 9.0 times" in again.text()
    assert len(again.plot("scaled").axes) == 3


def test_measures_on_a_batch_with_labels_of_every_task(load):
    load(fixed_batch(large_labels=0), fixed_batch())
    assert probe(RECIPE, steps=2).labelled == (1.0, 0.5)
    load(fixed_batch(large_labels=0))
    with pytest.raises(ValueError, match=r"A batch must have labels of every task, \['small', 'large'\]"):
        probe(RECIPE, steps=2)


def test_tasks_that_share_nothing(load):
    load(fixed_batch())
    found = probe(Recipe(dataset=RECIPE.dataset, encoder=RECIPE.encoder, architecture="single_task"), steps=1)
    assert found.cosines == ((None, None), (None, None))
    assert found.norms == (None, None)
    assert len(found.plot().axes) == 3
