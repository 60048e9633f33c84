"""A model that teaches what it becomes: its labels, its losses, its training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.transfer import Teacher, add_task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 4)).astype("float32")
KINDS = [
    mz.Task.classification("kind", 3, class_weight={0: 2.0}, label_smoothing=0.1),
    mz.Task.ordinal("stars", 3),
    mz.Task.multilabel("tags", 3),
    mz.Task.count("visits"),
    mz.Task.regression("price", 2, loss="mae"),
    mz.Task.ranking("hits", 3),
]
NEW = mz.Task.binary("new")
Y = {"new": (X[:, 0] > 0).astype(int)}


def network(tasks=KINDS):
    return mz.architectures.hard_sharing(keras.Input((4,), name="x"), tasks, mz.encoders.mlp(5))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def by_hand(name, old, new, temperature):
    """Return the loss of one task in float64, as the paper writes it."""
    if name == "kind":
        return -np.mean(np.sum(softmax(old / temperature) * np.log(softmax(new / temperature)), axis=-1))
    if name == "stars":  # probabilities to the power of 1 / T, made to sum to 1 again
        old, new = (
            np.float64(KINDS[1].activation(x.astype("float32"))) ** (1 / temperature) for x in (old, new)
        )
        old, new = (x / x.sum(axis=-1, keepdims=True) for x in (old, new))
        return -np.mean(np.sum(old * np.log(new), axis=-1))
    if name == "tags":
        p, q = sigmoid(old / temperature), sigmoid(new / temperature)
        return -np.mean(p * np.log(q) + (1 - p) * np.log(1 - q))
    if name == "visits":
        return np.mean(np.exp(new) - np.exp(old) * new)
    return np.mean((new - old) ** 2)


@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_losses_by_hand(temperature):
    teacher = Teacher(network(), KINDS, temperature)
    for task, soft in zip(KINDS, teacher.tasks, strict=True):
        old, new = RNG.normal(size=(2, 12, *task.output_shape))
        found = soft.compute_loss(old.astype("float32"), new.astype("float32"))
        np.testing.assert_allclose(
            found, by_hand(task.name, old, new, temperature), rtol=1e-5, err_msg=task.name
        )


def test_nothing_pulls_at_a_model_that_answers_as_its_teacher():
    model = network()
    teacher = Teacher(model, KINDS)
    (x, y), *_ = teacher.label(tf.data.Dataset.from_tensors((X, {})))
    with tf.GradientTape() as tape:
        answers = model(x)
        losses = [
            soft.compute_loss(y[soft.name], answers[task.name])
            for task, soft in zip(KINDS, teacher.tasks, strict=True)
        ]
    for gradient in tape.gradient(losses, model.trainable_variables):
        np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def test_labels_are_what_the_model_answered_when_the_teacher_was_made():
    model = network()
    before = model.predict(X, verbose=0)
    data = Teacher(model, KINDS).label(tf.data.Dataset.from_tensors(({"x": X, "rest": X}, Y, np.ones(12))))
    model.set_weights([weight + 1.0 for weight in model.get_weights()])
    ((_, y, weight),) = data
    assert set(y) == {"new", *(f"{task.name}_distilled" for task in KINDS)}
    assert weight.shape == (12,)
    for name, values in before.items():
        np.testing.assert_allclose(y[f"{name}_distilled"], values, atol=1e-6)


def test_a_model_that_ends_in_activations_and_normalizes_by_statistics():
    x = keras.Input((4,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(5)(x))
    old = keras.Model(x, keras.layers.Dense(3, "softmax", name="kind")(hidden))
    task = mz.Task.classification("kind", 3)
    teacher = Teacher(old, [task])
    (_, y), *_ = teacher.label(tf.data.Dataset.from_tensors((X, Y)))
    np.testing.assert_allclose(softmax(y["kind_distilled"].numpy()), old.predict(X, verbose=0), rtol=1e-5)
    statistics = [w.numpy() for w in teacher.model.non_trainable_variables]
    new = add_task(old, NEW)
    trainer = mz.Trainer(new, [NEW, *teacher.tasks])
    trainer.compile("adam")
    trainer.fit(teacher.label(tf.data.Dataset.from_tensors((X, Y))), verbose=0)
    for one, other in zip(statistics, teacher.model.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_trains_measures_resumes_and_exports(tmp_path):
    old = network(KINDS[:1])
    old.save(tmp_path / "old.keras")
    kept = mz.Task.classification("kind", 3)
    labels = {**Y, "kind": np.full(12, -1)}  # of new data, of which the old task has no labels

    def trained(epochs):
        """Train on from wherever a training in the same directory stopped."""
        keras.utils.set_random_seed(0)
        before = keras.saving.load_model(tmp_path / "old.keras")
        teacher = Teacher(before, [kept])
        data = teacher.label(tf.data.Dataset.from_tensor_slices((X, labels)).batch(4))
        trainer = mz.Trainer(add_task(before, NEW), [NEW, kept, *teacher.tasks])
        trainer.compile("adam")
        resume = mz.callbacks.Resume(tmp_path / "backup", delete_checkpoint=False)
        trainer.fit(data, epochs=epochs, verbose=0, callbacks=[resume])
        return trainer, data

    trained(1)
    trainer, data = trained(2)
    for path in (tmp_path / "backup").iterdir():
        path.rename(tmp_path / f"first_{path.name}")
    straight, _ = trained(2)
    for one, other in zip(trainer.model.get_weights(), straight.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    result = trainer.evaluate(data, verbose=0, return_dict=True)
    assert np.isfinite(result["kind_distilled_loss"])
    assert {"new_accuracy", "kind_accuracy"} <= set(result)
    trainer.export(tmp_path / "1")
    served = tf.saved_model.load(tmp_path / "1").signatures["serving_default"](tf.constant(X))
    np.testing.assert_allclose(served["new"], trainer.predict(X, verbose=0)["new"], atol=1e-6)


def test_a_trainer_with_such_tasks_can_be_saved():
    task = Teacher(network(), KINDS).tasks[0]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(task))
    old, new = RNG.normal(size=(2, 12, 3)).astype("float32")
    assert float(again.compute_loss(old, new)) == float(task.compute_loss(old, new))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must"),
        ({"tasks": [NEW]}, "must name an output"),
        ({"tasks": [mz.Task.regression("price", 2, loss="mae")], "model": "old"}, "must be a `keras.Model`"),
    ],
)
def test_what_cannot_be_taught_is_refused(given, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        Teacher(**{"model": network(), "tasks": KINDS, **given})


def test_data_that_cannot_be_labelled_are_refused():
    teacher = Teacher(network(), KINDS)
    with pytest.raises(TypeError, match="`dataset` must be an instance"):
        teacher.label((X, Y))
    for element in (X, (X, Y["new"])):
        with pytest.raises(ValueError, match=r"`dataset` must yield.*Received"):
            teacher.label(tf.data.Dataset.from_tensors(element))
    with pytest.raises(ValueError, match=r"must not be named.*Received.*kind_distilled"):
        teacher.label(tf.data.Dataset.from_tensors((X, {"kind_distilled": Y["new"]})))
