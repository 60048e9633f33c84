"""Towers that start from another model: which layers get what, and which are left alone."""

import keras
import numpy as np
import pytest
from keras import layers

import mtl_zoo as mz
from mtl_zoo.transfer import initialize

LEFT, RIGHT = mz.Task.classification("left", 3), mz.Task.classification("right", 3)
TASKS = [LEFT, RIGHT]
ENCODER = [*mz.encoders.resnet(3, 3, blocks=1), *mz.encoders.mlp(5)]
X = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")


def network(architecture, tasks, encoder=ENCODER):
    return getattr(mz.architectures, architecture)(keras.Input((6, 6, 2)), tasks, encoder)


@pytest.mark.parametrize("architecture", ["cross_stitch", "nddr", "sluice", "single_task", "soft_sharing"])
def test_every_tower_starts_from_the_one_of_a_single_task(architecture):
    old, model = network("hard_sharing", [LEFT]), network(architecture, TASKS)
    done = initialize(model, old)
    trunk = [layer for layer in old.layers if layer.weights and layer.name != "left_logits"]
    pairs = {f"{task.name}{x.name.removeprefix('shared')}": x for task in TASKS for x in trunk}
    assert {name: layer.name for name, layer in pairs.items()}.items() <= done.copied.items()
    assert set(done.copied) <= {*pairs, "left_logits"}
    for name, layer in pairs.items():
        for ours, theirs in zip(model.get_layer(name).weights, layer.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert {*done.copied, *done.kept} == {layer.name for layer in model.layers if layer.weights}
    assert "right_logits" in done.kept
    if architecture in ("single_task", "soft_sharing"):
        np.testing.assert_allclose(model(X)["left"], old(X)["left"], rtol=1e-5)


def test_each_tower_starts_from_its_own_model():
    alone = {task.name: network("hard_sharing", [task]) for task in TASKS}
    model = network("single_task", TASKS)
    done = initialize(model, alone)
    assert not done.kept
    assert done.copied["right_logits"] == "right_logits"
    for name, old in alone.items():
        np.testing.assert_allclose(model(X)[name], old(X)[name], rtol=1e-5)
    again = network("single_task", TASKS)
    assert all(name.startswith("left") for name in initialize(again, {"left": alone["left"]}).copied)


def test_a_backbone_without_a_task_under_other_names_and_within_a_model():
    x = keras.Input((4,))
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, name="a"), layers.Dropout(0.1), layers.ReLU()]
    )
    backbone = keras.Model(x, layers.Dense(5, name="b")(inner(x)))
    model = mz.architectures.cross_stitch(keras.Input((4,)), TASKS, mz.encoders.mlp(6, 5))
    assert initialize(model, backbone).copied == {
        "left_1_dense": "a",
        "left_2_dense": "b",
        "right_1_dense": "a",
        "right_2_dense": "b",
    }


def test_branches_of_one_shape_are_told_apart_by_their_order_and_experts_are_left_alone():
    def inception(name):
        x = keras.Input((4,))
        ends = [layers.Dense(3, name=f"{name}_{i}_2")(layers.Dense(3, name=f"{name}_{i}_1")(x)) for i in "ab"]
        return keras.Model(x, {name: layers.Dense(1, name=name)(layers.Concatenate()(ends))})

    copied = initialize(inception("new"), inception("old")).copied
    assert copied == {f"new_{i}_{k}": f"old_{i}_{k}" for i in "ab" for k in "12"}
    experts = mz.architectures.mmoe(keras.Input((4,)), TASKS, mz.encoders.mlp(3))
    with pytest.raises(ValueError, match=r"must have layers that stand where"):
        initialize(experts, mz.architectures.hard_sharing(keras.Input((4,)), [LEFT], mz.encoders.mlp(3)))


def test_what_cannot_be_is_refused():
    model, old = network("cross_stitch", TASKS), network("hard_sharing", [LEFT])
    with pytest.raises(ValueError, match=r"by names of outputs.*Received.*middle"):
        initialize(model, {"middle": old})
    with pytest.raises(ValueError, match=r"by names of outputs.*Received"):
        initialize(model, {})
    with pytest.raises(ValueError, match=r"must be a `keras.Model`"):
        initialize(model, "old.keras")
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"stand where those of `model` do.*Received"):
        initialize(model, network("hard_sharing", [LEFT], mz.encoders.mlp(5)))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
