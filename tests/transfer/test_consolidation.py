"""A penalty on leaving weights: its value, its gradient, what becomes of it in files and in training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.transfer import Teacher, add_task, ewc, fisher

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
OLD, NEW = mz.Task.classification("old", 3), mz.Task.binary("new")
Y = {"old": X[:, :3].argmax(axis=1), "new": (X[:, 3] > 0).astype(int)}
DATA = tf.data.Dataset.from_tensor_slices((X, Y)).batch(10)
STRENGTH = 30.0


def grown():
    old = mz.architectures.hard_sharing(keras.Input((4,)), [OLD], mz.encoders.mlp(5, activation="tanh"))
    return add_task(old, NEW)


def held():
    model = grown()
    return model, ewc(model, [OLD], DATA, STRENGTH, labels="given")


def moved(model, seed=1):
    """Move all trainable weights; return by how much."""
    rng = np.random.default_rng(seed)
    steps = {x.path: rng.normal(size=x.shape).astype("float32") for x in model.trainable_variables}
    for variable in model.trainable_variables:
        variable.assign_add(steps[variable.path])
    return steps


def test_the_penalty_and_its_gradient_by_hand():
    model, consolidated = held()
    importance = fisher(model, [OLD], DATA, labels="given")
    assert [float(x) for x in consolidated.losses] == [0.0]
    steps = moved(model)
    wanted = STRENGTH / 2 * sum(np.sum(f * steps[path] ** 2) for path, f in importance.items())
    with tf.GradientTape() as tape:
        (penalty,) = consolidated.losses
    np.testing.assert_allclose(penalty, wanted, rtol=1e-5)
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(penalty, variables), strict=True):
        if variable.path.startswith("new"):
            assert gradient is None
        else:
            by_hand = STRENGTH * importance[variable.path] * steps[variable.path]
            np.testing.assert_allclose(gradient, by_hand, rtol=1e-4, atol=1e-6)


def test_layers_are_shared_and_answers_the_same():
    model, consolidated = held()
    assert consolidated.layers == model.layers
    for name, values in model(X).items():
        np.testing.assert_array_equal(consolidated(X)[name], values)
    plain = keras.Model(consolidated.input, consolidated.output)
    assert not plain.losses
    assert plain.count_params() == model.count_params()


def test_the_penalty_is_saved_and_loaded_with_the_model(tmp_path):
    _, consolidated = held()
    moved(consolidated)
    consolidated.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert float(loaded.losses[0]) == float(consolidated.losses[0]) > 0
    np.testing.assert_array_equal(loaded(X)["old"], consolidated(X)["old"])
    consolidated.save_weights(tmp_path / "model.weights.h5")
    other = held()[1]
    other.load_weights(tmp_path / "model.weights.h5")
    assert float(other.losses[0]) == float(consolidated.losses[0])


def test_it_trains_and_exports_and_what_matters_stays(tmp_path):
    def far(strength):
        """Return how far the trunk has gone, measured by what matters to the old task."""
        keras.utils.set_random_seed(0)
        model = grown()
        importance = fisher(model, [OLD], DATA, labels="given")
        consolidated = ewc(model, [OLD], DATA, strength, labels="given")
        start = {x.path: x.numpy() for x in model.trainable_variables}
        trainer = mz.Trainer(consolidated, [NEW], aggregator=mz.aggregators.PCGrad())
        trainer.compile(keras.optimizers.SGD(0.1))
        trainer.fit(DATA, epochs=5, verbose=0)
        trainer.export(tmp_path / str(strength))
        steps = {x.path: x.numpy() - start[x.path] for x in model.trainable_variables}
        return sum(np.sum(f * steps[path] ** 2) for path, f in importance.items())

    assert far(10.0) < 0.2 * far(0.0)
    assert tf.saved_model.load(tmp_path / "0.0").signatures["serving_default"](tf.constant(X))[
        "new"
    ].shape == (40, 1)


def test_the_penalty_stays_beside_distillation():
    """Two tasks about one output make a view of the model, which must not lose what the model adds."""
    model, consolidated = held()
    teacher = Teacher(model, [OLD])
    trainer = mz.Trainer(consolidated, [NEW, *teacher.tasks])
    moved(model)
    trainer.compile(keras.optimizers.SGD(0.0))
    history = trainer.fit(teacher.label(DATA), verbose=0).history
    parts = history["new_loss"][0] + history["old_distilled_loss"][0]
    np.testing.assert_allclose(history["loss"][0] - parts, float(consolidated.losses[0]), rtol=1e-4)


def test_a_third_task_is_added_without_the_penalty():
    _, consolidated = held()
    third = mz.Task.regression("third")
    with pytest.raises(ValueError, match=r"made of layers alone.*Received: Consolidated"):
        add_task(consolidated, third)
    with pytest.raises(ValueError, match=r"made of layers alone.*Received: Consolidated"):
        ewc(consolidated, [OLD], DATA, 1.0)
    model = add_task(keras.Model(consolidated.input, consolidated.output), third)
    assert len(ewc(model, [OLD, NEW], DATA, 1.0, seed=0).memory) == 6


def test_an_inner_model_and_half_precision():
    x = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, dtype="mixed_float16")], name="inner")
    trunk = inner(x)
    model = keras.Model(x, {task.name: mz.heads.head(trunk, task) for task in (OLD, NEW)})
    consolidated = ewc(model, [OLD], DATA, STRENGTH, labels="given")
    assert [name for name, _ in consolidated.places] == ["inner", "inner", "old_logits", "old_logits"]
    assert {value.dtype for pair in consolidated.memory for value in pair} == {"float32"}


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"`strength` must not be negative"):
        ewc(grown(), [OLD], DATA, -1.0)
    with pytest.raises(ValueError, match=r"must be a `keras.Model`"):
        ewc("model.keras", [OLD], DATA, 1.0)
