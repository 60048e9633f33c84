import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import mtan
from mtl_zoo.encoders import mlp
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach, step


def test_contract():
    check_architecture(mtan, draws=True)  # batch normalization trains on the batch


def test_parameter_counts():
    # A shared encoder (4, 3) on 5 inputs. Per task, two maps without bias and two batch normalizations in
    # each module; the second one also sees the first, projected from 4 to 3 channels.
    shared = (5 * 4 + 4) + (4 * 3 + 3)
    first = (4 * 4 + 4 * 4) + (4 * 4 + 4 * 4)
    second = 4 * 3 + (6 * 3 + 4 * 3) + (3 * 3 + 4 * 3)
    heads = (3 * 3 + 3) + (3 * 1 + 1) + (3 * 2 + 2)
    assert build(mtan).count_params() == shared + 3 * (first + second) + heads


def test_modules_belong_to_their_task():
    for path, names in reach(build(mtan)).items():
        assert names == ({"digit", "odd", "size"} if "shared" in path else {path.split("_")[0]})


@pytest.mark.parametrize("space", ["shared", "representation"])
@pytest.mark.parametrize("aggregator", [mz.aggregators.PCGrad, mz.aggregators.CAGrad])
def test_modules_are_trained_with_aggregators(aggregator, space):
    model = build(mtan)
    before = [variable.numpy() for variable in model.trainable_variables]
    trainer = mz.Trainer(model, TASKS, aggregator=aggregator(), space=space)
    trainer.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    trainer.train_step(batch())
    assert all(not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True))


def test_values_by_hand():
    model = build(mtan)
    step(model, optimizer=keras.optimizers.SGD(0.1), steps=3)  # so that the statistics are not 0 and 1
    x, _ = batch()

    def dense(x, name):
        return x @ model.get_layer(name).kernel.numpy()

    def norm(x, name):
        gamma, beta, mean, variance = model.get_layer(name).get_weights()
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    shared, attended = x, None
    for index in (1, 2):
        layer = model.get_layer(f"shared_{index}_dense")
        shared = np.tanh(shared @ layer.kernel + layer.bias)
        name = f"odd_{index}"
        seen = shared if index == 1 else np.hstack([shared, dense(attended, "odd_2_previous_project")])
        inner = np.maximum(norm(dense(seen, f"{name}_inner"), f"{name}_inner_norm"), 0)
        attended = shared / (1 + np.exp(-norm(dense(inner, f"{name}_outer"), f"{name}_outer_norm")))
    logits = model.get_layer("odd_logits")
    expected = attended @ logits.kernel + logits.bias
    np.testing.assert_allclose(model(x)["odd"], expected, rtol=1e-4, atol=1e-5)


def test_reduction_narrows_the_modules():
    model = build(functools.partial(mtan, reduction=2))
    assert model.get_layer("odd_1_inner").units == 2
    assert model.get_layer("odd_2_inner").units == 1


def test_errors():
    with pytest.raises(
        ValueError, match=r"`reduction` must be an integer of at least 1. Received: reduction=0"
    ):
        mtan(keras.Input((5,)), TASKS, mlp(4), reduction=0)


def test_tasks_attend_on_the_way_up_of_a_unet_too():
    tasks = [mz.Task.segmentation("part", 3), mz.Task.dense_regression("depth", 1)]
    model = mtan(keras.Input((9, 8, 3)), tasks, mz.encoders.unet(2, 3, 4))
    masks = [
        layer.output.shape[1:]
        for layer in model.layers
        if layer.name.startswith("part") and layer.name.endswith("mask")
    ]
    down = [(9, 8, 2), (5, 4, 3), (3, 2, 4)]
    assert masks == [*down, *down[-2::-1]]
    logits = model.get_layer("part_logits")
    assert logits.input is model.get_layer("part_5_attended").output
