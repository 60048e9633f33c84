import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

import mtl_zoo as mz

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
LABELS = {"click": np.array([1, 0, 0, 0, -1] * 8), "kind": np.repeat([2, 0, 1, 0], 10)}
EXPECTED = {
    name: compute_class_weight("balanced", classes=np.unique(y[y >= 0]), y=y[y >= 0])
    for name, y in LABELS.items()
}


class Batches(keras.utils.PyDataset):
    num_batches = 4

    def __getitem__(self, index):
        return X[index::4], {name: values[index::4] for name, values in LABELS.items()}


def tasks_with(class_weight="balanced"):
    return [
        mz.Task.binary("click", class_weight=class_weight and class_weight["click"]),
        mz.Task.classification("kind", 3, class_weight=class_weight and class_weight["kind"]),
    ]


def trained(tasks=None, x=X, y=None, **given):
    keras.utils.set_random_seed(0)
    tasks = tasks_with(dict.fromkeys(LABELS, "balanced")) if tasks is None else tasks
    model = mz.architectures.hard_sharing(keras.Input((3,)), tasks, mz.encoders.mlp(4))
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.SGD(0.1))
    if x is None:
        return trainer
    return trainer, trainer.fit(x, y, verbose=0, shuffle=False, **given).history


def tables(trainer):
    return {name: table.numpy()[0] for name, table in trainer.class_weights.tables.items()}


@pytest.mark.parametrize("kind", ["arrays", "tf.data", "PyDataset"])
def test_balanced_weights_are_counted_in_data_of_every_kind(kind):
    dataset = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(16)
    x, y = {"arrays": (X, LABELS), "tf.data": (dataset, None), "PyDataset": (Batches(), None)}[kind]
    trainer, _ = trained(x=x, y=y)
    for name, weights in tables(trainer).items():
        np.testing.assert_allclose(weights, EXPECTED[name], rtol=1e-6)


def test_balanced_weights_train_and_validate_as_the_same_numbers_do(tmp_path):
    others = {name: np.roll(values, 3)[:30] for name, values in LABELS.items()}
    given = {"y": LABELS, "validation_data": (X[:30], others), "epochs": 2}
    trainer, found = trained(**given)
    numbers = {name: dict(enumerate(weights)) for name, weights in EXPECTED.items()}
    _, expected = trained(tasks_with(numbers), **given)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=name)
    trainer.fit(X[:9], {name: values[:9] for name, values in LABELS.items()}, verbose=0)  # counts no more
    np.testing.assert_allclose(tables(trainer)["kind"], EXPECTED["kind"], rtol=1e-6)
    trainer.save_weights(tmp_path / "all.weights.h5")
    again = trained(x=None)
    with pytest.raises(ValueError, match=r"must be counted, by `fit` or out of `load_weights`"):
        again.evaluate(X, LABELS, verbose=0)
    again.load_weights(tmp_path / "all.weights.h5")
    measured = [t.evaluate(X, LABELS, verbose=0) for t in (trainer, again)]
    np.testing.assert_allclose(*measured, rtol=1e-6)


def test_what_is_validated_on_is_not_counted():
    trainer, _ = trained(y=LABELS, validation_split=0.25)
    kind = LABELS["kind"][:30]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=kind)
    np.testing.assert_allclose(tables(trainer)["kind"], expected, rtol=1e-6)


def test_metrics_do_not_heed_class_weights():
    trainer, _ = trained(tasks_with({"click": {1: 9.0}, "kind": {2: 5.0}}), y=LABELS)
    found = trainer.evaluate(X, LABELS, verbose=0, return_dict=True)
    chosen = np.argmax(trainer.predict(X, verbose=0)["kind"], axis=1)
    np.testing.assert_allclose(found["kind_accuracy"], np.mean(chosen == LABELS["kind"]), rtol=1e-6)


def test_data_that_cannot_be_read_twice_are_refused():
    with pytest.raises(ValueError, match=r"must be counted before training.*Received: generator"):
        trained(x=((X, LABELS) for _ in range(2)), steps_per_epoch=2)
    endless = tf.data.Dataset.from_tensors((X, LABELS)).repeat()
    with pytest.raises(ValueError, match=r"must be counted before training.*Received: "):
        trained(x=endless, steps_per_epoch=2)


def test_a_class_without_a_label_weighs_1_and_is_named(caplog):
    y = LABELS | {"kind": np.minimum(LABELS["kind"], 1)}
    trainer, _ = trained(y=y)
    assert "No training label of task 'kind' is of class 2; their balanced weight is 1." in caplog.text
    np.testing.assert_allclose(tables(trainer)["kind"], [40 / 60, 40 / 60, 1], rtol=1e-6)


def test_class_weights_of_fit_are_refused_with_a_remedy():
    trainer = trained(tasks_with(None), x=None)
    for call in (trainer.fit, trainer.train_on_batch):
        with pytest.raises(ValueError, match=r"`class_weight` must be given to a task, as in `mz\.Task"):
            call(X, LABELS, class_weight={"click": {0: 1.0, 1: 9.0}})


def test_a_single_task_trains_as_keras_does_with_the_class_weights_of_fit():
    weights, y = {0: 1.0, 1: 9.0}, np.maximum(LABELS["click"], 0)
    histories = []
    for own in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, name="click")])
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        if own:
            # Keras divides by the number of examples, so that only the mean of the weights differs.
            task = mz.Task.binary("click", class_weight=weights)
            model = mz.Trainer(model, [task])
            scale = np.mean(np.where(y == 1, 9.0, 1.0))
            model.compile(keras.optimizers.SGD(0.1 * scale))
            history = model.fit(X, y, batch_size=40, epochs=3, shuffle=False, verbose=0).history
            histories.append(np.array(history["click_loss"]) * scale)
        else:
            model.compile(keras.optimizers.SGD(0.1), loss)
            given = {"batch_size": 40, "epochs": 3, "shuffle": False, "verbose": 0, "class_weight": weights}
            histories.append(model.fit(X, y, **given).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
