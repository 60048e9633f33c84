import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.encoders import encode, mlp, pretrained
from mtl_zoo.encoders.pretrained import SHARING, _function, _gateways, _preprocess

TASKS = (mz.Task.classification("kind", 3), mz.Task.binary("flag"))
SHAPE = (32, 32, 3)
SMALL = {"alpha": 0.25}
FUNCTIONS = [name for name, x in vars(keras.applications).items() if callable(x)]


def pixels(shape=SHAPE, size=6):
    return np.random.default_rng(0).uniform(0, 255, (size, *shape)).astype("float32")


def labels(size=6):
    return {task.name: np.arange(size) % (task.max_label + 1) for task in TASKS}


def preprocessed(name, x):
    """Return what Keras' own function makes of pixels, which it may do in place."""
    return np.asarray(sys.modules[getattr(keras.applications, name).__module__].preprocess_input(x.copy()))


def write_weights(name, shape, arguments, path):
    """Write weights as unlike initial ones as trained ones are; return the network."""
    network = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=shape, **arguments
    )
    random = np.random.default_rng(0)
    for variable in network.variables:
        if "moving_variance" in variable.path:
            variable.assign(random.uniform(0.5, 2, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(variable + random.normal(0, 0.2, variable.shape))
    network.save_weights(path)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    write_weights("MobileNet", SHAPE, SMALL, path)
    return str(path)


@functools.cache
def two_stages(weights=None, sharing="copied"):
    """Return the first two stages of a small network."""
    return pretrained("MobileNet", SHAPE, weights=weights, sharing=sharing, arguments=SMALL)[:2]


def towers(encoder, shape=SHAPE, dtype=None):
    """Return a model of two towers."""
    inputs = keras.Input(shape, name="x", dtype=dtype)
    return keras.Model(inputs, {name: encode(inputs, encoder, name) for name in ("left", "right")})


def kernels(model, tower):
    """Return the trainable weights of a tower by the name of their layer."""
    return {v.path.removeprefix(f"{tower}_"): v for v in model.variables if v.path.startswith(f"{tower}_")}


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "ways"),
    [
        ("MobileNet", SHAPE, SMALL, SHARING),  # pixels from -1 to 1
        ("VGG16", SHAPE, {}, ["copied"]),  # channels reversed and shifted; no batch normalization
        (
            "MobileNetV3Small",
            (64, 48, 3),
            {"alpha": 0.75},
            ["copied"],
        ),  # not only layers; nothing to preprocess
    ],
)
def test_the_stages_together_are_the_network_on_preprocessed_pixels(name, shape, arguments, ways, tmp_path):
    path = str(tmp_path / "any.weights.h5")
    network = write_weights(name, shape, arguments, path)
    x, inputs = pixels(shape, 2), keras.Input(shape)
    expected = network(preprocessed(name, x), training=False)
    assert np.std(expected) > 1e-4
    for sharing in ways:
        encoder = pretrained(name, shape, path, sharing=sharing, arguments=arguments)
        features = keras.Model(inputs, encode(inputs, encoder, "shared"))(x)
        np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6 * np.max(np.abs(expected)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_preprocessing_is_that_of_keras(name):
    x, inputs = pixels((4, 4, 3)), keras.Input((4, 4, 3))
    model = keras.Model(inputs, layers.Identity()(_preprocess(inputs, "shared_1", _function(name))))
    np.testing.assert_allclose(model(x), preprocessed(name, x), rtol=1e-5, atol=1e-5)


def test_preprocessing_is_as_exact_in_half_precision_and_takes_bytes():
    inputs = keras.Input((4, 4, 3), dtype="uint8")
    x = pixels((4, 4, 3)).astype("uint8")
    with_policy("mixed_bfloat16", lambda: check_exact(inputs, x))


def with_policy(policy, function):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return function()
    finally:
        keras.config.set_dtype_policy(before)


def check_exact(inputs, x):
    for name in ("MobileNet", "ResNet50"):
        model = keras.Model(inputs, _preprocess(inputs, "shared_1", _function(name)))
        np.testing.assert_allclose(model(x), preprocessed(name, x.astype("float32")), rtol=1e-5, atol=1e-5)


def test_everything_passes_through_a_gateway():
    # a - b - c - add - d - concatenate - e, where b goes to `add` and d to `concatenate` past the other one.
    inputs = keras.Input((4,), name="inputs")
    b = layers.Dense(4, name="b")(layers.Dense(4, name="a")(inputs))
    d = layers.Dense(4, name="d")(layers.Add(name="add")([b, layers.Dense(4, name="c")(b)]))
    joined = layers.Concatenate(name="concatenate")([d, layers.Dense(4, name="f")(layers.ReLU(name="g")(d))])
    model = keras.Model(inputs, layers.Dense(4, name="e")(joined))
    assert [x.name for x in _gateways(model)] == ["a", "b", "add", "d", "concatenate", "e"]
    around = keras.Model(inputs, layers.Add(name="sum")([inputs, b]))
    assert [x.name for x in _gateways(around)] == ["sum"]


@pytest.mark.parametrize(
    ("name", "shape", "shapes"),
    [
        # 32 pixels are halved five times. Channels by Howard et al., table 1, times 0.25.
        ("MobileNet", SHAPE, [(16, 16, 16), (8, 8, 32), (4, 4, 64), (2, 2, 128), (1, 1, 256)]),
        # The last pooling has no weights, so it is no stage of its own.
        ("VGG16", SHAPE, [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512), (1, 1, 512)]),
        # The paddings before convolutions belong to the stage after them. Inner layers are 6 times as wide.
        ("MobileNetV2", (48, 32, 3), [(24, 16, 48), (12, 8, 48), (6, 4, 96), (3, 2, 192), (2, 1, 1280)]),
    ],
)
def test_stages_end_before_the_resolution_halves(name, shape, shapes):
    arguments = {"MobileNet": SMALL, "MobileNetV2": {"alpha": 0.35}}.get(name, {})
    x, found = keras.Input(shape), []
    for index, stage in enumerate(pretrained(name, shape, weights=None, arguments=arguments), start=1):
        x = stage(x, f"shared_{index}")
        found.append(x.shape[1:])
        assert x._keras_history.operation.trainable_variables
    assert found == shapes


def test_stages_end_at_named_layers():
    for cut in ("conv_pw_3_relu,conv1_relu", ["conv1_relu", "conv_pw_3_relu"]):
        stages = pretrained("MobileNet", SHAPE, weights=None, cut=cut, arguments=SMALL)
        first, second = stages[0](keras.Input(SHAPE), "a"), stages[1](keras.Input((16, 16, 8)), "b")
        assert [first.shape, second.shape, len(stages)] == [(None, 16, 16, 8), (None, 8, 8, 32), 3]
    (whole,) = pretrained("MobileNet", SHAPE, weights=None, cut=[], arguments={**SMALL, "pooling": "avg"})
    assert whole(keras.Input(SHAPE), "whole").shape == (None, 256)


def test_errors():
    with pytest.raises(
        ValueError, match=r"must be one of \['ConvNeXtBase', .*'Xception'\]. Received: name='X'"
    ):
        pretrained("X", SHAPE)
    with pytest.raises(ValueError, match=r"must be one of .*'frozen'.*\. Received: sharing='cloned'"):
        pretrained("MobileNet", SHAPE, sharing="cloned")
    for shape in ((32, 32), (None, None, 3), (32, 32, 1)):
        with pytest.raises(ValueError, match=r"must be \(height, width, 3\). Received: input_shape="):
            pretrained("MobileNet", shape, weights=None)
    inner, last = (
        "block_2_depthwise",
        "out_relu",
    )  # past the former leads a shortcut, after the latter is nothing
    for wrong in ([inner, last], ["conv_9", "block_1_expand"]):
        found = [name for name in wrong if name != "block_1_expand"]
        with pytest.raises(ValueError) as error:  # noqa: PT011
            pretrained("MobileNetV2", SHAPE, weights=None, cut=wrong, arguments={"alpha": 0.35})
        assert str(error.value).startswith("`cut` must name inner layers through which everything passes")
        assert "'block_1_expand'" in str(error.value)
        assert str(error.value).endswith(f"Received: {found}")


def test_copies_have_weights_and_names_of_their_own(weights):
    for source, equal in ((weights, True), (None, False)):
        model = towers(two_stages(source))
        left, right = kernels(model, "left"), kernels(model, "right")
        assert left.keys() == right.keys()
        assert len(model.variables) == 2 * len(left) == len({variable.path for variable in model.variables})
        matrices = [name for name in left if len(left[name].shape) > 1]
        assert len(matrices) == 7  # a full convolution, then 3 of depths and 3 of points
        for name in matrices:
            assert left[name] is not right[name]
            assert np.array_equal(left[name], right[name]) == equal
        assert all("_network" in layer.name for layer in model.layers[1:] if layer.weights)
        assert {layer.name.split("_")[0] for layer in model.layers[1:]} == {"left", "right"}


def test_shared_stages_are_the_same_layers_in_every_tower_and_model(weights):
    encoder = two_stages(weights, "shared")
    model, alone = towers(encoder), towers(encoder)
    assert len(model.variables) == len(kernels(towers(two_stages(weights)), "left"))
    assert {id(v) for v in model.variables} == {id(v) for v in alone.variables}
    outputs = model(pixels(), training=True)
    assert np.ptp(outputs["left"]) > 0
    np.testing.assert_array_equal(outputs["left"], outputs["right"])


def test_frozen_stages_do_not_train_and_infer_always(weights):
    model = towers(two_stages(weights, "frozen"))
    assert not model.trainable_variables
    before = model.get_weights()
    x = pixels()
    np.testing.assert_array_equal(model(x, training=True)["left"], model(x, training=False)["left"])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def check_saved(model, tasks, folder):
    x = tf.constant(pixels())
    model.save(folder / "model.keras")
    copy = keras.models.load_model(folder / "model.keras")
    assert [v.path for v in copy.trainable_variables] == [v.path for v in model.trainable_variables]
    mz.exporting.saved_model(model, tasks, folder / "1")
    answers = tf.saved_model.load(folder / "1").signatures["serving_default"](x=x)
    for task in tasks:
        logits = model(x)[task.name]
        np.testing.assert_allclose(copy(x)[task.name], logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(answers[task.name], task.activation(logits), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "sharing"),
    [
        ("single_task", "copied"),
        ("hard_sharing", "copied"),
        ("soft_sharing", "copied"),
        ("cross_stitch", "copied"),
        ("cross_stitch", "shared"),
        ("soft_sharing", "frozen"),
    ],
)
def test_architectures_train_and_save(architecture, sharing, weights, tmp_path):
    encoder = [*two_stages(weights, sharing), *mlp(4, activation="tanh")]
    model = getattr(mz.architectures, architecture)(keras.Input(SHAPE, name="x"), TASKS, encoder)
    x, y = pixels(), labels()
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = sum(task.compute_loss(y[task.name], logits[task.name]) for task in TASKS)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path
    before = [variable.numpy() for variable in model.trainable_variables]
    trainer = mz.Trainer(model, TASKS)
    trainer.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    trainer.train_step((x, y))
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.trainable_variables, strict=True))
    check_saved(model, TASKS, tmp_path)


def test_soft_sharing_pairs_the_weights_within_stages(weights):
    for source in (weights, None):
        model = mz.architectures.soft_sharing(keras.Input(SHAPE), TASKS, two_stages(source), strength=1.0)
        kind, flag = ({k: v.numpy() for k, v in kernels(model, task.name).items()} for task in TASKS)
        trained = {k for k in kind if "moving" not in k and "logits" not in k}
        assert len(trained) == 7 + 2 * 7  # convolutions, each with a batch normalization
        distances = sum(np.sum((kind[k] - flag[k]) ** 2) for k in trained)
        assert (distances == 0) == (source is not None)
        np.testing.assert_allclose(model.losses, [distances], rtol=1e-5)


def test_representation_space_gives_the_gradients_of_shared_space(weights):
    encoder = two_stages(weights)
    trained = {}
    for space in mz.training.trainer.SPACES:
        keras.utils.set_random_seed(0)
        model = mz.architectures.hard_sharing(keras.Input(SHAPE), TASKS, encoder)
        start = model.get_weights()
        trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.Sum(), space=space)
        trainer.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
        trainer.train_step((pixels(), labels()))
        trained[space] = model.get_weights()
        assert not any(np.array_equal(a, b) for a, b in zip(start, trained[space], strict=True))
    for a, b in zip(*trained.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_copies_take_the_precision_of_the_model(weights):
    encoder, x = two_stages(weights), pixels()
    model = with_policy("mixed_bfloat16", lambda: towers(encoder))
    assert {variable.dtype for variable in model.variables} == {"float32"}
    full, half = towers(encoder)(x)["left"], model(x)["left"]
    assert half.dtype == tf.bfloat16
    np.testing.assert_allclose(np.asarray(half, "float32"), full, atol=0.03 * np.max(full))


def test_compiled_equals_eager(weights):
    model, x = towers(two_stages(weights)), pixels()
    compiled = tf.function(model, jit_compile=True)(x)
    np.testing.assert_allclose(compiled["left"], model(x)["left"], rtol=1e-4, atol=1e-4)


def test_equal_experts_give_the_gates_no_gradient_at_first(weights):
    for source, first in ((weights, False), (None, True)):
        model = mz.architectures.mmoe(keras.Input(SHAPE), TASKS, two_stages(source), num_experts=2)
        assert gate_gradient(model) == first
        trainer = mz.Trainer(model, TASKS)
        trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        trainer.train_step((pixels(), labels()))
        assert gate_gradient(model)


def gate_gradient(model):
    """Return whether a gate's weights have a gradient beyond rounding."""
    gates = [variable for variable in model.trainable_variables if "gate" in variable.path]
    x, y = pixels(), labels()
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = sum(task.compute_loss(y[task.name], logits[task.name]) for task in TASKS)
    assert gates
    return max(np.max(np.abs(gradient)) for gradient in tape.gradient(loss, gates)) > 1e-5
