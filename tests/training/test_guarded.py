"""Sample weights of some tasks alone, in every way in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz

TASKS = [mz.Task.classification("kind", 3), mz.Task.regression("size")]
X = np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
Y = {"kind": np.array([0, 1, 2, 0, 1, 2]), "size": X[:, 0]}
SOME = {"kind": np.arange(6.0).astype("float32")}
ALL = {**SOME, "size": np.ones(6, "float32")}


@pytest.fixture(scope="module")
def trainer():
    x = keras.Input((2,))
    model = keras.Model(x, {"kind": keras.layers.Dense(3)(x), "size": keras.layers.Dense(1)(x)})
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return trainer


def of_generator(weights):
    yield X, Y, weights


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return X, Y, SOME


WAYS = {
    "arrays": lambda trainer, weights: trainer.fit(X, Y, sample_weight=weights, verbose=0),
    "dataset": lambda trainer, weights: trainer.fit(tf.data.Dataset.from_tensors((X, Y, weights)), verbose=0),
    "generator": lambda trainer, weights: trainer.fit(
        of_generator(weights), steps_per_epoch=1, shuffle=False, verbose=0
    ),
    "pydataset": lambda trainer, weights: trainer.fit(Batches(), shuffle=False, verbose=0),
}


@pytest.fixture(scope="module")
def expected(trainer):
    return trainer.evaluate(X, Y, sample_weight=ALL, return_dict=True, verbose=0)


@pytest.mark.parametrize("way", WAYS)
def test_tasks_without_weights_count_1_in_training(trainer, expected, way):
    found = WAYS[way](trainer, SOME).history
    np.testing.assert_allclose(found["loss"][0], expected["loss"], rtol=1e-6)
    np.testing.assert_allclose(found["size_loss"][0], expected["size_loss"], rtol=1e-6)


def test_tasks_without_weights_count_1_in_single_batches_and_evaluation(trainer, expected):
    for call in (trainer.train_on_batch, trainer.test_on_batch, trainer.evaluate):
        found = call(X, Y, sample_weight=SOME, return_dict=True)
        np.testing.assert_allclose(found["kind_loss"], expected["kind_loss"], rtol=1e-6)
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-6)
    history = trainer.fit(X, Y, validation_data=(X, Y, SOME), verbose=0).history
    np.testing.assert_allclose(history["val_loss"][0], expected["loss"], rtol=1e-6)


@pytest.mark.parametrize(
    ("labels", "weights"),
    [
        (Y, {"foo": SOME["kind"]}),
        (Y, [SOME["kind"], None, None]),
        (Y, {"kind": SOME["kind"][:3]}),
        (list(X), None),
    ],
)
def test_errors_do_not_print_arrays(trainer, labels, weights):
    with pytest.raises(ValueError, match="must") as error:
        trainer.fit(X, labels, sample_weight=weights, verbose=0)
    assert len(str(error.value)) < 200
    assert "array(" not in str(error.value)


def test_one_hot_labels_are_named(trainer):
    with pytest.raises(
        ValueError, match=r"one-hot labels, of which `np.argmax\(labels, axis=-1\)` makes class"
    ):
        trainer.fit(X, {**Y, "kind": np.eye(3)[Y["kind"]]}, verbose=0)
