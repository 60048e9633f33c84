import keras
import numpy as np
import pytest

from mtl_zoo.architectures import single_task, sluice
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach


def test_contract():
    check_architecture(sluice, fixed=("sluice", "stages"))


def test_parameter_counts():
    # Towers (4, 3) on 5 inputs; 2 subspaces after the first stage, 1 after the second, whose 3 channels
    # cannot be halved: matrices of 6 x 6 and 3 x 3. Per task a projection 4 -> 3 without bias and 2 weights
    # of stages.
    towers = 3 * ((5 * 4 + 4) + (4 * 3 + 3))
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(sluice).count_params() == towers + 6 * 6 + 3 * 3 + 3 * (4 * 3 + 2) + heads


def test_every_task_reaches_every_tower_and_its_own_head_and_mixture_only():
    for path, names in reach(build(sluice)).items():
        own = any(part in path for part in ("logits", "stages", "from"))
        assert names == ({path.split("_")[0]} if own else {"digit", "odd", "size"})


def test_units_without_mixing_make_separate_networks():
    model, separate = build(sluice), build(single_task)
    for layer in separate.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    for layer in model.layers:
        if layer.name in ("sluice_1", "sluice_2"):
            layer.kernel.assign(np.eye(layer.kernel.shape[0]))
        if layer.name.endswith("stages"):
            layer.kernel.assign([0.0, 1.0])
    x, _ = batch()
    for name, logits in separate(x).items():
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-4, atol=1e-6)


def test_values_by_hand():
    model = build(sluice)
    names = [task.name for task in TASKS]
    x, _ = batch()
    towers, stages = [x] * 3, []
    for index, parts in ((1, 2), (2, 1)):
        layers = [model.get_layer(f"{name}_{index}_dense") for name in names]
        towers = [np.tanh(t @ layer.kernel + layer.bias) for t, layer in zip(towers, layers, strict=True)]
        subspaces = np.stack([part for t in towers for part in np.split(t, parts, axis=-1)])
        mixed = np.einsum("ab,bic->aic", model.get_layer(f"sluice_{index}").kernel, subspaces)
        towers = [np.concatenate(list(mixed[i : i + parts]), axis=-1) for i in range(0, len(mixed), parts)]
        stages.append(towers)
    for name, first, last in zip(names, *stages, strict=True):
        early, late = np.array(model.get_layer(f"{name}_stages").kernel)
        features = early * first @ model.get_layer(f"{name}_from_1_project").kernel.numpy() + late * last
        logits = model.get_layer(f"{name}_logits")
        expected = features @ logits.kernel + logits.bias
        np.testing.assert_allclose(model(x)[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_subspaces": 0}, "`num_subspaces` must be an integer of at least 1"),
        ({"orthogonality": -1.0}, "`orthogonality` must not be negative. Received: orthogonality=-1.0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        sluice(keras.Input((5,)), TASKS, mlp(4), **arguments)
