"""Tasks that are added: where they grow, what they share, that nothing else changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.transfer import add_task

OLD = [mz.Task.classification("left", 3), mz.Task.regression("right")]
NEW = mz.Task.binary("new")
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
ENCODER = mz.encoders.mlp(6, 5)


def network(architecture="hard_sharing", tasks=OLD, **given):
    return getattr(mz.architectures, architecture)(keras.Input((4,), name="x"), tasks, ENCODER, **given)


def grown_on(model, task=NEW):
    """Return the names of the layers on which the head of a task grows."""
    dense = model.get_layer(f"{task.name}_logits").input._keras_history.operation
    if not dense.name.endswith("side_by_side"):
        return [dense.name]
    return [x._keras_history.operation.name for x in dense.input]


@pytest.mark.parametrize(
    ("old", "wanted"),
    [
        (lambda: network(), ["shared_2_dense"]),
        (lambda: network(tasks=OLD[:1]), ["shared_2_dense"]),
        (lambda: network("cross_stitch"), ["left_2_dense", "right_2_dense"]),
        (
            lambda: network("mmoe", num_experts=3),
            [f"expert_{i}_2_dense" for i in (1, 2, 3)],
        ),
    ],
    ids=["hard_sharing", "one task", "cross_stitch", "mmoe"],
)
def test_a_task_grows_where_those_there_are_part(old, wanted):
    old = old()
    before = old.predict(X, verbose=0)
    new = add_task(old, NEW)
    assert sorted(grown_on(new)) == wanted
    answers = new.predict(X, verbose=0)
    assert set(answers) == {*before, "new"}
    for name, values in before.items():
        np.testing.assert_array_equal(answers[name], values)
    assert all(any(layer is other for other in new.layers) for layer in old.layers)


def test_of_a_tree_it_is_what_all_tasks_share():
    x = keras.Input((4,))
    root = layers.Dense(3, name="root")(x)
    branch = layers.Dense(5, name="branch")(root)
    ends = {"a": branch, "b": branch, "c": root}
    model = keras.Model(x, {name: layers.Dense(1, name=name)(end) for name, end in ends.items()})
    assert grown_on(add_task(model, NEW)) == ["root"]
    without = keras.Model(
        x, {**{name: model.output[name] for name in "ab"}, "d": layers.Dense(1, name="d")(layers.Dense(2)(x))}
    )
    assert grown_on(add_task(without, NEW)) == ["branch"]  # which any two share


def test_stages_stand_between_and_tasks_can_be_added_again_and_anywhere():
    once = add_task(network(), NEW, stages=mz.encoders.mlp(7))
    assert grown_on(once) == ["new_1_dense"]
    again = mz.Task.regression("again")
    assert grown_on(add_task(once, again), again) == ["shared_2_dense"]
    assert grown_on(add_task(once, again, at="shared_1_dense"), again) == ["shared_1_dense"]
    tower = add_task(once, again, stages=ENCODER, at="x")
    assert tower.get_layer("again_1_dense").input is tower.input
    both = add_task(once, again, at=["shared_1_dense", "new_1_dense"])
    assert both.get_layer("again_logits").kernel.shape == (13, 1)


def test_a_keras_classifier_and_a_backbone_without_a_task():
    x = keras.Input((4,))
    features = layers.Dense(5, "relu", name="features")(x)
    classes = layers.Activation("softmax", name="kind")(layers.Dense(3, name="dense")(features))
    model = add_task(keras.Model(x, classes), NEW)
    assert list(model.output) == ["kind", "new"]
    assert grown_on(model) == ["features"]
    backbone = add_task(keras.Sequential([keras.Input((4,)), layers.Dense(5, name="f")]), NEW, at="f")
    assert list(backbone.output) == ["new"]
    assert grown_on(backbone) == ["f"]
    assert grown_on(add_task(backbone, OLD[1]), OLD[1]) == ["f"]


def test_inner_models_are_looked_into():
    x = keras.Input((4,))
    inner = network()
    assert grown_on(add_task(keras.Model(x, inner(x)), NEW)) == ["shared_2_dense"]


def test_the_model_trains_saves_loads_and_exports(tmp_path):
    old = network()
    kernel = old.get_layer("shared_1_dense").kernel
    before = kernel.numpy()
    new = add_task(old, NEW, stages=mz.encoders.mlp(3))
    mz.transfer.freeze(new, tasks=["left", "right"])
    trainer = mz.Trainer(new, [NEW])
    trainer.compile("adam")
    trainer.fit(X, {"new": (X[:, 0] > 0).astype(int)}, verbose=0)
    assert np.abs(kernel.numpy() - before).max() > 0
    answers = new.predict(X, verbose=0)
    for model in (new, old):
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras").predict(X, verbose=0)
        keras.tree.map_structure(
            np.testing.assert_array_equal, dict(loaded), dict(model.predict(X, verbose=0))
        )
    mz.exporting.saved_model(new, [*OLD, NEW], tmp_path / "1")
    served = tf.saved_model.load(tmp_path / "1").signatures["serving_default"](tf.constant(X))
    np.testing.assert_allclose(served["new"], tf.sigmoid(answers["new"]), atol=1e-6)


class Own(keras.Model):
    """A model with a `call` of its own."""

    def call(self, x):
        return {"left": x}


def subclassed():
    model = Own()
    model(X)
    return model


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (network, {"task": OLD[0]}, "name that no output has"),
        (subclassed, {}, "must be a functional"),
        (lambda: network("soft_sharing"), {}, "made of layers alone"),
        (lambda: network("single_task"), {}, "trainable layers that its outputs share"),
        (lambda: network("single_task"), {"at": "nowhere"}, "called once"),
        (network, {"at": []}, "`at` must name"),
        (network, {"at": ["x", 1]}, "`at` must be a sequence of strings"),
        (network, {"task": mz.Task.tagging("tags", 3)}, "needs as features"),
        (network, {"head": lambda x, task: x}, "must have shape"),
        (network, {"stages": [3]}, "`stages` must be"),
    ],
)
def test_what_cannot_be_is_refused(model, given, message):
    with pytest.raises(ValueError, match=rf"(?s){message}.*Received"):
        add_task(**{"model": model(), "task": NEW, **given})


def test_what_does_not_stand_side_by_side_is_refused():
    x = keras.Input((6, 2))
    maps, vector = layers.Conv1D(3, 2, name="maps")(x), layers.Dense(3, name="vector")(layers.Flatten()(x))
    ends = [layers.GlobalAveragePooling1D()(maps), vector]
    model = keras.Model(x, {name: layers.Dense(1, name=name)(layers.Add()(ends)) for name in "ab"})
    assert add_task(model, NEW).output["new"].shape == (None, 1)
    with pytest.raises(ValueError, match=r"last axis at most.*Received.*maps"):
        add_task(model, NEW, at=["maps", "vector"])
