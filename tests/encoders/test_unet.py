import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.encoders import encode, unet
from mtl_zoo.experiments.choices import FAMILIES

TASKS = [mz.Task.segmentation("part", 3), mz.Task.dense_regression("depth", 2)]


def model_of(shape, encoder):
    inputs = keras.Input(shape)
    return keras.Model(inputs, encode(inputs, encoder, "shared"))


def test_parameter_counts():
    # Down: 9 * 3 * 2 + 2 and 9 * 2 * 2 + 2; 9 * 2 * 4 + 4 and 9 * 4 * 4 + 4. Up: 4 * 4 * 2 + 2 by the 2x2
    # convolution that halves the channels; 9 * 4 * 2 + 2 after concatenation and 9 * 2 * 2 + 2.
    convolutions = (54 + 36) + (72 + 144) + (72 + 36)
    up, biases = 32 + 2, 2 * 2 + 2 * 4 + 2 * 2
    plain = model_of((4, 4, 3), unet(2, 4, normalization=None))
    assert plain.count_params() == convolutions + up + biases
    assert model_of((4, 4, 3), unet(2, 4)).count_params() == convolutions + up + 4 * biases
    layer_norm = model_of((4, 4, 3), unet(2, 4, normalization="layer"))
    assert layer_norm.count_params() == convolutions + up + 2 * biases
    # A kernel of side 5 has 25 weights where one of side 3 has 9.
    large = model_of((4, 4, 3), unet(2, 4, kernel_size=5))
    assert large.count_params() == convolutions * 25 // 9 + up + 4 * biases


def test_an_eighth_of_the_paper():
    # The paper's network on gray images is widely counted with 31 030 528 parameters before its output: of
    # convolutions (squares of widths), the first, and biases. Widths 64 to 1024; here all are divided by 8.
    widths = [64, 128, 256, 512, 1024]
    first = 9 * widths[0]
    biases = 2 * sum(widths) + 3 * sum(widths[:-1])
    squares = 31_030_528 - first - biases
    model = model_of((16, 16, 1), unet(*(width // 8 for width in widths), normalization=None))
    assert model.count_params() == squares // 64 + (first + biases) // 8
    assert squares % 64 == 0


@pytest.mark.parametrize("side", [1, 5, 8, 13])
@pytest.mark.parametrize("filters", [(2,), (2, 3), (2, 3, 4, 5)])
def test_the_output_has_the_size_of_the_input(side, filters):
    assert model_of((side, side + 2, 3), unet(*filters)).output.shape == (None, side, side + 2, filters[0])


def test_sizes_that_are_not_known_before():
    model = model_of((None, None, 1), unet(2, 3, 4))
    assert model.output.shape == (None, None, None, 2)
    assert model(np.ones((1, 8, 12, 1))).shape == (1, 8, 12, 2)


def test_stages_keep_the_skip_connections_before_the_current_features():
    x, shapes = keras.Input((9, 8, 1)), []
    for index, stage in enumerate(unet(2, 3, 4)):
        x = stage(x, f"shared_{index}")
        shapes.append([tuple(y.shape[1:]) for y in x] if isinstance(x, list) else tuple(x.shape[1:]))
    large, middle, small = (9, 8, 2), (5, 4, 3), (3, 2, 4)
    assert shapes == [large, [large, middle], [large, middle, small], [large, middle], large]


def test_one_size_has_no_way_up():
    assert len(unet(4)) == 1


def zero(model, part):
    for layer in model.layers:
        if part in layer.name:
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])


def pixels_seen(model):
    """Return which input pixels have a gradient in the output's middle pixel."""
    side = model.input.shape[1]
    x = tf.random.stateless_uniform((1, side, side, 1), seed=(0, 0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(model(x)[:, side // 2, side // 2])
    return np.count_nonzero(tape.gradient(y, x)[0, :, :, 0].numpy().any(axis=0))


def positive(model):
    for variable in model.trainable_variables:
        variable.assign(tf.abs(variable) + 0.1)
    return model


def test_the_first_skip_connection_feeds_the_output():
    model = positive(model_of((48, 48, 1), unet(2, 3, 4, normalization=None)))
    # Two 3x3 convolutions down and two up see 2 * 4 + 1 pixels; the way through the bottom sees more.
    assert pixels_seen(model) > 9
    zero(model, "shared_5_up_enlarge")
    assert pixels_seen(model) == 9


def test_the_bottom_feeds_the_output():
    model = positive(model_of((48, 48, 1), unet(2, 3, 4, normalization=None)))
    # Level 1 has 4 convolutions of reach 1, level 2 4 of reach 2, level 3 2 of reach 4: 4 + 8 + 8 = 20 to
    # each side of a block of 4 pixels, less what the grid of pools and of 2x2 steps up cuts.
    assert 25 < pixels_seen(model) <= 2 * 20 + 4


def test_the_way_up_by_hand():
    model = model_of((3, 2, 1), unet(1, 1, kernel_size=1, normalization=None))
    # Kernels of side 1 and weight 1 pass positive pixels on; the bottom is the maximum of each 2x2 block.
    for layer in model.layers:
        if "conv" in layer.name:
            channels = layer.kernel.shape[2]
            layer.set_weights([np.array([1.0, 10.0])[:channels].reshape(1, 1, -1, 1), np.zeros(1)])
    step_up = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    model.get_layer("shared_3_up_enlarge").set_weights([step_up, np.zeros(1)])
    x = np.array([[1, 2], [3, 4], [5, 6]])
    # Maxima are 4 and 6 (a block that the border cuts); each becomes [[1, 2], [3, 4]] times it.
    enlarged = np.array([[4, 8], [12, 16], [6, 12]])
    np.testing.assert_allclose(model(x[None, ..., None])[0, ..., 0], x + 10 * enlarged)


@pytest.mark.parametrize(
    ("architecture", "space", "how"),
    [
        ("hard_sharing", "shared", {"jit_compile": True}),
        ("hard_sharing", "representation", {"jit_compile": True}),
        ("single_task", "shared", {"run_eagerly": True}),
        ("soft_sharing", "shared", {"run_eagerly": True}),
    ],
)
def test_dense_tasks_train_one_step(architecture, space, how):
    model = getattr(mz.architectures, architecture)(keras.Input((6, 5, 1)), TASKS, unet(2, 3))
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 1)).astype("float32")
    labels = {"part": np.arange(120).reshape(4, 6, 5) % 4 - 1, "depth": np.ones((4, 6, 5, 2), "float32")}
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.MGDA(), space=space)
    trainer.compile(keras.optimizers.SGD(0.1), **how)
    before = [variable.numpy() for variable in model.trainable_variables]
    history = trainer.fit(x, labels, batch_size=4, verbose=0).history
    assert np.isfinite(history["part_mean_iou"] + history["depth_loss"]).all()
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), variable.path


# Few units behind a ReLU may all be off.
OPTIONS = {"pepnet": {"gate_units": 64}}
DENSE_ARCHITECTURES = sorted(set(FAMILIES["architecture"].members()) - {"esmm", "escm2", "aitm"})


@pytest.mark.slow
@pytest.mark.parametrize("architecture", DENSE_ARCHITECTURES)
def test_every_architecture_trains_every_level_and_saves(architecture, tmp_path):
    keras.utils.set_random_seed(0)
    builder, options = getattr(mz.architectures, architecture), OPTIONS.get(architecture, {})
    model = builder(keras.Input((6, 5, 1)), TASKS, unet(4, 6, 8), **options)
    x = np.random.default_rng(0).normal(size=(4, 6, 5, 1)).astype("float32")
    labels = {"part": np.arange(120).reshape(4, 6, 5) % 4 - 1, "depth": np.ones((4, 6, 5, 2), "float32")}
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.PCGrad())
    draws = 8 if architecture == "branching" else 1  # each step draws one tree
    trainer.compile(keras.optimizers.SGD(1.0 if draws == 1 else 1e-3), run_eagerly=True)
    before = [variable.numpy() for variable in model.trainable_variables]
    for _ in range(draws):
        trainer.train_step((tf.constant(x), labels))
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old), variable.path
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    for name, logits in model(x).items():
        np.testing.assert_allclose(copy(x)[name], logits, rtol=1e-4, atol=1e-5)


def test_half_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = model_of((5, 5, 1), unet(2, 3))
    finally:
        keras.config.set_dtype_policy(policy)
    assert model(np.ones((1, 5, 5, 1))).dtype == tf.bfloat16


def test_errors():
    with pytest.raises(ValueError, match="must have at least one size"):
        unet()
    with pytest.raises(ValueError, match=r"\['batch', 'layer'\] or None. Received: normalization='group'"):
        unet(4, normalization="group")
