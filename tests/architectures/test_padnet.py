import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.architectures import padnet
from tests.architectures.harness import TASKS, batch, build, check_architecture, reach

DENSE = (mz.Task.segmentation("part", 3, size=(8, 8)), mz.Task.dense_regression("depth", 1, size=(8, 8)))
smooth = functools.partial(padnet, activation="tanh")  # so that no gradient is zero by chance


def dense_batch(size=4):
    random = np.random.default_rng(0)
    labels = {
        "part": random.integers(0, 3, (size, 8, 8)),
        "depth": random.normal(size=(size, 8, 8, 1)).astype("float32"),
    }
    return random.normal(size=(size, 8, 8, 3)).astype("float32"), labels


def test_contract():
    check_architecture(smooth)


def test_parameter_count():
    # Inputs 8x8x3, one convolution to 4 channels. Per task: features (3x3, 4 to 4), logits (1x1), those back
    # to features (3x3), module C with one message and one attention map (3x3, 4 to 4 both), a head (1x1).
    model = padnet(keras.Input((8, 8, 3)), DENSE, mz.encoders.convnet(4))
    square = 9 * 4 * 4 + 4
    shared = 9 * 3 * 4 + 4
    part = square + (4 * 3 + 3) + (9 * 3 * 4 + 4) + 2 * square + (4 * 3 + 3)
    depth = square + (4 * 1 + 1) + (9 * 1 * 4 + 4) + 2 * square + (4 * 1 + 1)
    assert model.count_params() == shared + part + depth


def test_a_task_reaches_all_initial_predictions_and_what_it_receives():
    for path, names in reach(build(smooth)).items():
        everybody = path.startswith("shared") or "_initial" in path
        assert names == ({"digit", "odd", "size"} if everybody else {path.split("_")[0]}), path


def test_values_by_hand():
    model = build(padnet)
    x, _ = batch()

    def dense(name, x):
        return x @ model.get_layer(name).kernel.numpy() + model.get_layer(name).bias.numpy()

    shared = np.tanh(dense("shared_2_dense", np.tanh(dense("shared_1_dense", x))))
    features = {}
    for task in TASKS:
        own = np.maximum(dense(f"{task.name}_initial_dense", shared), 0)
        logits = dense(f"{task.name}_initial_logits", own)
        np.testing.assert_allclose(model(x)[f"{task.name}_initial"], logits, rtol=1e-4, atol=1e-5)
        features[task.name] = own + dense(f"{task.name}_initial_back_dense", logits)
    for task in TASKS:
        attention = 1 / (1 + np.exp(-dense(f"{task.name}_gate_dense", features[task.name])))
        messages = [dense(f"{task.name}_from_{t}_dense", features[t]) for t in features if t != task.name]
        logits = dense(f"{task.name}_logits", features[task.name] + attention * sum(messages))
        np.testing.assert_allclose(model(x)[task.name], logits, rtol=1e-4, atol=1e-5)


def test_initial_logits_of_a_vector_are_averages_over_the_map():
    model = build(padnet, "resnet")
    x, _ = batch("resnet")
    inside = model.get_layer("digit_initial_logits")
    per_position = keras.Model(model.input, inside._inbound_nodes[0].output_tensors[0])(x)
    assert per_position.shape[1:] == (2, 2, 3)
    np.testing.assert_allclose(
        model(x)["digit_initial"], np.mean(per_position, axis=(1, 2)), rtol=1e-4, atol=1e-5
    )


def test_one_task_is_its_own_network():
    model = padnet(keras.Input((5,)), TASKS[:1], mz.encoders.mlp(4))
    assert list(model.output) == ["digit", "digit_initial"]
    assert not any("_from_" in layer.name for layer in model.layers)


@pytest.mark.parametrize(
    "encoder", [mz.encoders.convnet(4, 4), mz.encoders.unet(4, 8)], ids=["small", "same"]
)
def test_dense_outputs_have_the_size_of_the_labels(encoder):
    model = padnet(keras.Input((8, 8, 3)), DENSE, encoder)
    assert {name: output.shape[1:] for name, output in model.output.items()} == {
        "part": (8, 8, 3), "depth": (8, 8, 1), "part_initial": (8, 8, 3), "depth_initial": (8, 8, 1)
    }  # fmt: skip


def test_initial_outputs_take_the_size_of_a_head_that_enlarges():
    def decoder(x, task):
        x = keras.layers.Conv2DTranspose(4, 2, strides=2, name=f"{task.name}_enlarge")(x)
        return mz.heads.head(x, task)

    tasks = [mz.Task.segmentation("part", 3)]
    model = padnet(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4), head=decoder)
    assert model.output["part_initial"].shape == model.output["part"].shape == (None, 8, 8, 3)


def test_deep_supervision_trains_the_initial_predictions():
    keras.utils.set_random_seed(0)
    x, labels = dense_batch()
    model = padnet(keras.Input((8, 8, 3)), DENSE, mz.encoders.convnet(8))
    tasks = [*DENSE, *mz.auxiliary_tasks(model, DENSE)]
    assert [task.name for task in tasks] == ["part", "depth", "part_initial", "depth_initial"]
    trainer = mz.Trainer(model, tasks, mz.balancers.Uncertainty(), mz.aggregators.PCGrad(seed=0))
    trainer.compile(keras.optimizers.Adam(0.01))
    logs = trainer.fit(x, labels, epochs=10, verbose=0).history
    for task in tasks:
        assert logs[f"{task.name}_loss"][-1] < logs[f"{task.name}_loss"][0]
    found = trainer.evaluate(x, labels, return_dict=True, verbose=0)
    expected = DENSE[0].compute_loss(labels["part"], model(x)["part_initial"])
    np.testing.assert_allclose(found["part_initial_loss"], expected, rtol=1e-5)


def test_export_without_the_initial_outputs(tmp_path):
    x, _ = batch()
    model = build(padnet)
    mz.exporting.saved_model(model, TASKS, tmp_path / "1")
    answers = tf.saved_model.load(tmp_path / "1").signatures["serving_default"](x=tf.constant(x))
    assert set(answers) == {"digit", "odd", "size"}
    for task in TASKS:
        np.testing.assert_allclose(answers[task.name], task.activation(model(x)[task.name]), rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_initial_outputs_of_maps_are_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        tasks = [*DENSE, mz.Task.binary("indoor")]
        model = padnet(keras.Input((8, 8, 3)), tasks, mz.encoders.convnet(4))
    finally:
        keras.config.set_dtype_policy("float32")
    assert {str(output.dtype) for output in model.output.values()} == {"float32"}


def test_padding_does_not_reach_the_outputs():
    check_padding(padnet)


def check_padding(builder):
    """Check that what stands at the places of padding changes no output of a vector."""
    encoder = mz.encoders.transformer(9, width=4, depth=2, num_heads=2)
    model = builder(keras.Input((5,), dtype="int32"), TASKS, encoder)
    x = np.array([[3, 4, 5, 0, 0], [1, 2, 0, 0, 0]])
    before = {name: output.numpy() for name, output in model(x).items()}
    embedding = next(v for v in model.variables if tuple(v.shape) == (9, 4))
    embedding.assign(embedding + 7.0 * np.eye(9, 1))  # the row of token 0
    for name, output in model(x).items():
        np.testing.assert_allclose(output, before[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_no_task_may_have_the_name_of_an_initial_prediction():
    tasks = [mz.Task.binary("click"), mz.Task.binary("click_initial")]
    with pytest.raises(ValueError, match=r"initial prediction. Received: tasks \['click_initial'\]"):
        padnet(keras.Input((5,)), tasks, mz.encoders.mlp(3))


def test_maps_cannot_come_out_of_vectors():
    with pytest.raises(ValueError, match="needs as features maps"):
        padnet(keras.Input((5,)), DENSE, mz.encoders.mlp(3))
