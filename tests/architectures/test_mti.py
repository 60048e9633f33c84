import functools

import keras
import numpy as np
import pytest

import mtl_zoo as mz
from mtl_zoo.architectures import mti
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach
from tests.architectures.test_padnet import DENSE, check_padding, dense_batch

smooth = functools.partial(mti, activation="tanh")  # so that no gradient is zero by chance


def test_contract():
    check_architecture(smooth)


def test_parameter_count():
    # Inputs 8x8x3, stages to 4 channels at 4x4 (scale 1) and at 2x2 (scale 2), two tasks (3 and 1 logits).
    model = mti(keras.Input((8, 8, 3)), DENSE, mz.encoders.convnet(4, 4))

    def conv(before, after):
        return 9 * before * after + after

    encoder = conv(3, 4) + conv(4, 4)
    features = 2 * conv(4, 4) + 2 * conv(8, 4)  # at scale 1 with those propagated from scale 2
    initial = 2 * ((4 * 3 + 3) + conv(3, 4) + (4 * 1 + 1) + conv(1, 4))
    distillation = 2 * 2 * 2 * conv(4, 4)  # per scale and task an attention map and a message
    scores = conv(8, 2) + (2 * 8 + 8)  # all tasks to a quarter of the channels, then to all of them
    propagation = scores + conv(8, 4) + 2 * ((4 * 8 + 8) + (8 * 4 + 4))
    heads = (8 * 3 + 3) + (8 * 1 + 1)  # of both scales together
    assert model.count_params() == encoder + features + initial + distillation + propagation + heads


def test_outputs_at_every_scale_have_the_size_of_the_labels():
    model = mti(keras.Input((8, 8, 3)), DENSE, mz.encoders.convnet(4, 6, 8))
    assert [name for name in model.output if name.startswith("part")] == [
        "part", "part_initial_3", "part_initial_2", "part_initial_1"
    ]  # fmt: skip
    assert {output.shape[1:-1] for output in model.output.values()} == {(8, 8)}
    unsized = [mz.Task.segmentation("part", 3), mz.Task.binary("indoor")]
    model = mti(keras.Input((8, 8, 3)), unsized, mz.encoders.convnet(4, 6, 8))
    assert {model.output[f"part{name}"].shape for name in ("", "_initial_1", "_initial_3")} == {
        (None, 4, 4, 3)
    }
    assert model.output["indoor_initial_2"].shape == (None, 1)


def test_a_task_reaches_all_scales_and_all_initial_predictions():
    last = (
        "_gate_",
        "_from_",
        "_all_",
    )  # what refines a task's features, and what brings its scales together
    for path, names in reach(build(smooth, "resnet"), "resnet").items():
        name = path.split("_")[0]
        own = path.startswith(f"{name}_logits") or any(part in path for part in last)
        assert names == ({name} if own else {"digit", "odd", "size"}), path


def test_values_by_hand():
    model = build(mti)  # on vectors of 4 (scale 1) and 3 channels (scale 2)
    x, _ = batch()

    def dense(name, x, layer=None):
        layer = layer or model.get_layer(name)
        return x @ layer.kernel.numpy() + (0 if layer.bias is None else layer.bias.numpy())

    def relu(x):
        return np.maximum(x, 0)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    names = [task.name for task in TASKS]
    stages = {1: np.tanh(dense("shared_1_dense", x))}
    stages[2] = np.tanh(dense("shared_2_dense", stages[1]))
    distilled, propagated = {}, {}
    for scale in (2, 1):
        seen, features = {}, {}
        for name in names:
            own = stages[scale]
            if scale == 1:
                own = np.concatenate([own, dense(f"{name}_1_coarser_project", propagated[name])], axis=1)
            seen[name] = relu(dense(f"{name}_{scale}_features_dense", own))
            logits = dense(f"{name}_initial_{scale}_logits", seen[name])
            np.testing.assert_allclose(model(x)[f"{name}_initial_{scale}"], logits, rtol=1e-4, atol=1e-5)
            features[name] = seen[name] + dense(f"{name}_initial_{scale}_back_dense", logits)
        for name in names:
            distilled[name, scale] = features[name] + sum(
                sigmoid(dense(f"{name}_{scale}_gate_{other}_dense", features[other]))
                * dense(f"{name}_{scale}_from_{other}_dense", features[other])
                for other in names
                if other != name
            )
        if scale == 2:
            together = np.concatenate(list(seen.values()), axis=1)
            hidden = relu(dense("shared_2_propagation_hidden_dense", together))
            scores = np.exp(dense("shared_2_propagation_scores", hidden).reshape(-1, 3, 3))
            chosen = (scores / scores.sum(axis=1, keepdims=True)).reshape(-1, 9) * together
            shared = relu(dense("shared_2_propagation_reduced_dense", chosen))
            for name in names:
                layer = model.get_layer(f"{name}_2_excited")
                gate = sigmoid(dense("", relu(dense("", shared, layer.squeeze)), layer.excite))
                propagated[name] = seen[name] + gate * shared
    for name in names:
        coarse = dense(f"{name}_all_0_project", distilled[name, 2])
        logits = dense(f"{name}_logits", np.concatenate([coarse, distilled[name, 1]], axis=1))
        np.testing.assert_allclose(model(x)[name], logits, rtol=1e-4, atol=1e-5)


def test_deep_supervision_trains_the_initial_predictions_of_all_scales():
    keras.utils.set_random_seed(0)
    x, labels = dense_batch()
    model = mti(keras.Input((8, 8, 3)), DENSE, mz.encoders.unet(4, 8))
    tasks = [*DENSE, *mz.auxiliary_tasks(model, DENSE)]
    assert len(tasks) == 2 + 2 * 2  # the bottom, and the way up
    trainer = mz.Trainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(0.01))
    logs = trainer.fit(x, labels, epochs=10, verbose=0).history
    for task in tasks:
        assert logs[f"{task.name}_loss"][-1] < logs[f"{task.name}_loss"][0]


def test_scales_are_the_stages_of_the_last_ones_rank():
    encoder = [*mz.encoders.convnet(2, 3), *mz.encoders.mlp(6, 5)]
    model = mti(keras.Input((8, 8, 1)), TASKS, encoder)
    assert [name for name in model.output if "odd_" in name] == ["odd_initial_2", "odd_initial_1"]
    assert model.get_layer("odd_1_features_dense").kernel.shape == (6 + 6, 6)  # the first dense stage


def shapes_of_scales(encoder):
    """Return the shape of a task's features at every scale, from the coarsest to the finest."""
    model = mti(keras.Input((9, 8, 3)), DENSE, encoder)
    number = sum("part_initial" in name for name in model.output)
    layers = [model.get_layer(f"part_{scale}_features_conv") for scale in range(number, 0, -1)]
    return [layer.output.shape[1:] for layer in layers]


def test_scales_go_from_coarse_to_fine():
    down = [(3, 2, 8), (5, 4, 6), (9, 8, 4)]
    assert shapes_of_scales(mz.encoders.resnet(4, 6, 8)) == down
    assert shapes_of_scales(mz.encoders.unet(4, 6, 8)) == down  # the bottom, then the way up
    shape, encoder = keras.Input((9, 8, 3)), mz.encoders.unet(4, 6, 8)
    model = mti(shape, DENSE, encoder)
    assert model.get_layer("part_3_features_conv").input is model.get_layer("shared_3_down_relu_2").output
    for scale, stage in ((2, 4), (1, 5)):  # with what comes from the scale before
        seen, _ = model.get_layer(f"part_{scale}_seen").input
        assert seen is model.get_layer(f"shared_{stage}_up_relu_2").output


def test_stages_of_one_size_are_scales_of_their_own():
    same = [*mz.encoders.resnet(4), *mz.encoders.resnet(6)]
    assert shapes_of_scales(same) == [(9, 8, 6), (9, 8, 4)]
    after = [*mz.encoders.unet(4, 6), *mz.encoders.resnet(5)]
    assert shapes_of_scales(after) == [(5, 4, 6), (9, 8, 5), (9, 8, 4)]


def test_one_task_and_one_scale():
    model = mti(keras.Input((5,)), TASKS[:1], mz.encoders.mlp(4))
    assert list(model.output) == ["digit", "digit_initial_1"]
    model = mti(keras.Input((5,)), TASKS[:1], mz.encoders.mlp(4, 3))
    assert not any("propagation" in layer.name for layer in model.layers)
    assert list(model.output) == ["digit", "digit_initial_2", "digit_initial_1"]


def test_initial_outputs_are_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        tasks = [*DENSE, mz.Task.binary("indoor")]
        model = mti(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4, 4))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {str(output.dtype) for output in model.output.values()} == {"float32"}


def test_padding_does_not_reach_the_outputs():
    check_padding(mti)


def test_no_task_may_have_the_name_of_an_initial_prediction():
    tasks = [mz.Task.binary("click"), mz.Task.binary("click_initial_1")]
    with pytest.raises(ValueError, match=r"initial prediction. Received: tasks \['click_initial_1'\]"):
        mti(keras.Input((5,)), tasks, mz.encoders.mlp(3))
