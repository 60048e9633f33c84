import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import single_task, sluice
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach, without_metrics


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


def overlap(kernel):
    """Return the squared norm of the products of a kernel's two halves, in float64."""
    columns = np.reshape(kernel, (-1, kernel.shape[-1])).astype("float64")
    first, second = np.split(columns, 2, axis=1)
    return np.square(first.T @ second).sum()


def test_the_penalty_by_hand_is_of_the_weights_that_give_a_stages_channels():
    model = build(functools.partial(sluice, orthogonality=0.1))
    # The second stage has 3 channels, which have no halves.
    kernels = [model.get_layer(f"{task.name}_1_dense").kernel.numpy() for task in TASKS]
    np.testing.assert_allclose(sum(model.losses), 0.1 * sum(map(overlap, kernels)), rtol=1e-5)
    image = sluice(keras.Input((8, 8, 3)), TASKS, mz.encoders.resnet(2, 4), orthogonality=0.1)
    names = ["1_block_1_conv_1", "1_block_1_conv_2", "1_block_1_shortcut"]
    names += [name.replace("1_", "2_", 1) for name in names]
    kernels = [image.get_layer(f"{task.name}_{name}").kernel.numpy() for task in TASKS for name in names]
    np.testing.assert_allclose(sum(image.losses), 0.1 * sum(map(overlap, kernels)), rtol=1e-4)
    assert build(functools.partial(sluice, orthogonality=0.0)).losses == []
    assert build(functools.partial(sluice, num_subspaces=1)).losses == []


def test_the_penalty_comes_beside_what_a_stage_brings():
    def stage(x, name):
        return keras.layers.Dense(4, kernel_regularizer="l2", name=name)(x)

    model = sluice(keras.Input((5,)), TASKS, [stage], orthogonality=0.1)
    kernels = [model.get_layer(f"{task.name}_1").kernel.numpy() for task in TASKS]
    expected = sum(0.1 * overlap(kernel) + 0.01 * np.square(kernel).sum() for kernel in kernels)
    np.testing.assert_allclose(sum(model.losses), expected, rtol=1e-5)


def test_layers_of_several_models_are_penalised_once():
    encoder = mz.encoders.pretrained(
        "MobileNet", (32, 32, 3), weights=None, sharing="shared", arguments={"alpha": 0.25}
    )[:1]
    losses = [sluice(keras.Input((32, 32, 3)), TASKS, encoder).losses for _ in range(2)]
    np.testing.assert_array_equal(*losses)
    assert len(losses[0]) > 0


def test_portions_of_a_batch_have_the_penalty_of_the_whole():
    x, labels = batch()
    weights = []
    for accumulate in (1, 3):
        model = build(functools.partial(sluice, orthogonality=0.5))
        trainer = mz.Trainer(model, without_metrics(TASKS), accumulate=accumulate)
        trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        trainer.train_on_batch(x, labels)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


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
