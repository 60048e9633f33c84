import keras
import numpy as np
import pytest

from mtl_zoo.architectures import cgc, cross_stitch, dselect_k, hard_sharing, mmoe, nddr, ple, sluice
from mtl_zoo.introspection.sharing import expert_load, gates, mixing
from tests.architectures.harness import TASKS, batch, build

NAMES = [task.name for task in TASKS]


@pytest.mark.parametrize(
    ("builder", "experts"),
    [
        (mmoe, {f"{name}_gate": 4 for name in NAMES}),
        (dselect_k, {f"{name}_gate": 4 for name in NAMES}),
        (cgc, {f"{name}_1_gate": 4 for name in NAMES}),
        (ple, {"shared_1_gate": 8} | {f"{name}_{level}_gate": 4 for name in NAMES for level in (1, 2)}),
    ],
)
def test_every_gate_gives_weights_of_sum_one(builder, experts):
    model = build(builder)
    x, _ = batch()
    found = gates(model, x)
    assert {name: weights.shape for name, weights in found.items()} == {
        name: (len(x), number) for name, number in experts.items()
    }
    for name, weights in found.items():
        np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
        load = expert_load(model, x)[name]
        np.testing.assert_allclose(load, weights.mean(axis=0), rtol=1e-6)


def test_gates_by_hand():
    model = build(mmoe)
    x, _ = batch()
    scores = np.exp(x @ model.get_layer("odd_gate").kernel)
    np.testing.assert_allclose(gates(model, x)["odd_gate"], scores / scores.sum(1, keepdims=True), rtol=1e-5)


def test_gates_leave_the_model_as_it_was(tmp_path):
    model = build(mmoe, "resnet")
    x, _ = batch("resnet")
    before = model(x)["odd"]
    gates(model, x)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(x)["odd"], before)


def test_a_unet_has_a_gate_once():
    import mtl_zoo as mz

    model = mmoe(
        keras.Input((8, 8, 1)), TASKS, [*mz.encoders.convnet(2), *mz.encoders.unet(2, 2)], num_experts=2
    )
    assert list(gates(model, np.zeros((1, 8, 8, 1)))) == [f"{name}_gate" for name in NAMES]


def test_mixing_matrices():
    model = build(cross_stitch)
    found = mixing(model)
    assert list(found) == ["cross_stitch_1", "cross_stitch_2"]
    kernel = np.array(model.get_layer("cross_stitch_1").kernel)
    np.testing.assert_allclose(found["cross_stitch_1"], kernel.mean(axis=2), rtol=1e-6)
    model = build(sluice)
    found = mixing(model)
    assert {name: array.shape for name, array in found.items()} == {
        "sluice_1": (6, 6),
        "sluice_2": (3, 3),
        **{f"{name}_stages": (2,) for name in NAMES},
    }
    found = mixing(build(nddr))["nddr_1"]
    np.testing.assert_allclose(found, [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]], rtol=1e-5)


def test_errors():
    model = build(hard_sharing)
    with pytest.raises(
        ValueError, match=r"must have a mixture of experts. Received: model 'hard_sharing', without"
    ):
        gates(model, batch()[0])
    with pytest.raises(
        ValueError, match=r"must have units that mix towers. Received: model 'hard_sharing', without"
    ):
        mixing(model)
