"""Adapters per task on whole models: what they start as, what is trained, where the streams part."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from tests.test_graphs import TOKENS, from_a_file

TASKS = [mz.Task.classification("left", 3), mz.Task.binary("right")]
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(6, 8)).astype("float32")
Y = {"left": RANDOM.integers(0, 3, 6), "right": RANDOM.integers(0, 2, 6)}


def backbone():
    """Return a small network with a batch normalization."""
    inputs = keras.Input((8,), name="x")
    x = keras.layers.Dense(6, "relu", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(5, "tanh", name="second")(x), name="backbone")


def randomize(model):
    for variable in model.trainable_variables:
        variable.assign(variable + 0.3 * RANDOM.normal(size=variable.shape))


def paths(model):
    return {variable.path for variable in model.trainable_variables}


def test_it_starts_as_the_backbone_with_heads():
    base = backbone()
    model = mz.transfer.lora(base, TASKS, rank=2)
    features = base(X)
    for task in TASKS:
        head = model.get_layer(f"{task.name}_logits")
        np.testing.assert_array_equal(model(X)[task.name], head(features))
    assert base.trainable
    assert all(layer.trainable for layer in base.layers)
    # 2 tasks of 2 * (8 + 6) and 2 * (6 + 5); heads of 5 to 3 and 1; 9 * 6 + 4 * 6 + 7 * 5
    assert mz.transfer.trained_parameters(model) == {"adapters": 100, "heads": 24, "frozen": 113}


def test_training_changes_adapters_and_heads_alone():
    model = mz.transfer.lora(backbone(), TASKS, rank=2)
    trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.PCGrad())
    trainer.compile(keras.optimizers.Adam(0.1))
    before = {v.path: v.numpy() for v in model.variables}
    trainer.fit(X, Y, epochs=3, verbose=0)
    changed = {v.path for v in model.variables if not np.array_equal(v, before[v.path])}
    assert {path for path in changed if "seed" not in path} == paths(model)
    assert all("/a_" in path or "/b_" in path or "_logits/" in path for path in paths(model))


def test_a_task_reaches_its_own_matrices():
    model = mz.transfer.lora(backbone(), TASKS, rank=2, shared="first")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(X)["right"] ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    reached = {v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is not None}
    assert reached == {
        *(f"first/{name}_0" for name in "ab"),
        *(f"second/{name}_1" for name in "ab"),
        *(f"right_logits/{name}" for name in ("kernel", "bias")),
    }
    trunk = model.get_layer("first")
    assert len(trunk._inbound_nodes) == 1
    assert len(model.get_layer("second")._inbound_nodes) == 2


def test_the_own_heads_of_a_trained_model_are_trained_on():
    base = mz.architectures.hard_sharing(keras.Input((8,), name="x"), TASKS, mz.encoders.mlp(6, 5))
    model = mz.transfer.lora(base, TASKS, rank=1)
    for task in TASKS:
        np.testing.assert_array_equal(model(X)[task.name], base(X)[task.name])
    assert {path for path in paths(model) if "logits" in path} == {
        f"{task.name}_logits/{name}" for task in TASKS for name in ("kernel", "bias")
    }
    one = mz.transfer.lora(base, [mz.Task.regression("size")], features="shared_1_dense")
    assert one.get_layer("size_logits").kernel.shape == (6, 1)


@pytest.mark.parametrize(
    ("where", "adapted"),
    [
        ("sec", ["second"]),
        (["first"], ["first"]),
        (lambda name: name.endswith("t"), ["first"]),
        (None, ["first", "second"]),
    ],
)
def test_layers_are_chosen_by_their_names(where, adapted):
    model = mz.transfer.lora(backbone(), TASKS, where=where)
    assert [layer.name for layer in model.layers if hasattr(layer, "pairs")] == adapted


def test_a_layer_that_is_called_twice_stays_one():
    inputs = keras.Input((8,))
    twice = keras.layers.Dense(8, name="twice")
    base = keras.Model(inputs, twice(keras.layers.ReLU()(twice(inputs))))
    model = mz.transfer.lora(base, TASKS, rank=1)
    assert len(model.get_layer("twice")._inbound_nodes) == 4
    assert mz.transfer.trained_parameters(model)["adapters"] == 2 * (8 + 8)


@pytest.mark.parametrize("architecture", ["cross_stitch", "mmoe", "mtan"])
def test_any_architecture_gets_adapters(architecture):
    builder = getattr(mz.architectures, architecture)
    base = builder(keras.Input((8,), name="x"), TASKS, mz.encoders.mlp(6, 5))
    model = mz.transfer.lora(base, TASKS, rank=1)
    for task in TASKS:
        np.testing.assert_allclose(model(X)[task.name], base(X)[task.name], atol=1e-6)


def test_a_network_of_keras_applications_is_adapted_merged_and_saved(tmp_path):
    base = keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, include_top=False)
    base = keras.Model(base.input, base.get_layer("conv_pw_2_relu").output)
    check(mz.transfer.lora(base, TASKS, rank=1), 100 * RANDOM.normal(size=(2, 32, 32, 3)), tmp_path)


@pytest.mark.slow  # to import it
def test_a_backbone_of_keras_hub_is_adapted_merged_and_saved(tmp_path):
    hub = pytest.importorskip("keras_hub", reason="KerasHub is an extra")
    base = hub.models.BertBackbone(20, 1, 2, 8, 12, max_sequence_length=6)
    tokens = RANDOM.integers(0, 20, (3, 6))
    x = {"token_ids": tokens, "segment_ids": 0 * tokens, "padding_mask": np.tri(3, 6, 3, dtype="int32")}
    model = mz.transfer.lora(base, TASKS, rank=1, features="pooled_output", shared="embedding")
    before = base(x)["pooled_output"]
    np.testing.assert_allclose(model(x)["left"], model.get_layer("left_logits")(before), atol=1e-6)
    check(model, x, tmp_path)
    attention = [path for path in paths(model) if path.startswith("query/")]
    assert len(attention) == 4


def check(model, x, folder):
    """Check that a model with adapters equals its merged one, and itself from a file."""
    randomize(model)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    plain = mz.transfer.merge_lora(loaded)
    answers = model(x)
    assert all(np.ptp(np.asarray(answer), axis=0).max() > 1e-3 for answer in answers.values())
    for name, answer in answers.items():
        np.testing.assert_array_equal(loaded(x)[name], answer)
        np.testing.assert_allclose(plain(x)[name], answer, rtol=1e-5, atol=1e-5)
    assert paths(loaded) == paths(model)
    assert mz.transfer.trained_parameters(plain)["adapters"] == 0


def test_a_transformer_from_a_file_is_adapted_and_merged(tmp_path):
    _, base = from_a_file(mz.architectures.hard_sharing, TASKS, tmp_path)
    model = mz.transfer.lora(base, TASKS, rank=2)
    for task in TASKS:
        np.testing.assert_allclose(model(TOKENS)[task.name], base(TOKENS)[task.name], rtol=1e-5)
    randomize(model)
    merged = mz.transfer.merge_lora(model)
    for task in TASKS:
        np.testing.assert_allclose(merged(TOKENS)[task.name], model(TOKENS)[task.name], rtol=1e-3, atol=1e-5)


def test_training_goes_on_from_a_file(tmp_path):
    trainer = mz.Trainer(mz.transfer.lora(backbone(), TASKS, rank=2), TASKS)
    trainer.compile("adam")
    trainer.fit(X, Y, verbose=0)
    trainer.save_weights(tmp_path / "trainer.weights.h5")
    again = mz.Trainer(mz.transfer.lora(backbone(), TASKS, rank=2), TASKS)
    again.compile("adam")
    again.load_weights(tmp_path / "trainer.weights.h5")
    pairs = zip(trainer.variables, again.variables, strict=True)  # the optimizer's too
    assert all(np.array_equal(first, second) for first, second in pairs)


def test_the_export_answers_what_the_model_does(tmp_path):
    model = mz.transfer.lora(backbone(), TASKS, rank=2)
    randomize(model)
    for name, exported in (("lora", model), ("merged", mz.transfer.merge_lora(model))):
        mz.exporting.saved_model(exported, TASKS, tmp_path / name)
        answer = tf.saved_model.load(tmp_path / name).signatures["serving_default"](x=tf.constant(X))
        np.testing.assert_allclose(answer["left"], keras.ops.softmax(model(X)["left"]), atol=1e-5)


def test_a_warning_names_what_cannot_have_adapters(caplog):
    base = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
        ]
    )
    mz.transfer.lora(base, TASKS)
    assert "Layers that cannot have adapters stay as they are: depthwise" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"where": "third"},
            r"`where` must choose layers among \['first', 'second'\]\. Received: where='third'",
        ),
        ({"where": ["norm"]}, r"names of layers that can have adapters: .*Received: \['norm'\]"),
        ({"where": "("}, r"`where` must be a regular expression\. Received: '\('"),
        ({"where": "first", "shared": "second"}, r"`shared` must choose layers among \['first'\]"),
        ({"features": "third"}, r"`features` must name an output .* Received: features='third'"),
        ({"model": keras.Model()}, "`model` must be a functional or sequential `keras.Model`"),
        ({"tasks": []}, "There must be at least one task"),
    ],
)
def test_wrong_arguments_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        mz.transfer.lora(**{"model": backbone(), "tasks": TASKS, **given})


def test_the_features_of_several_outputs_must_be_named():
    inputs = keras.Input((8,))
    base = keras.Model(inputs, {name: keras.layers.Dense(2, name=f"d{name}")(inputs) for name in "ab"})
    with pytest.raises(ValueError, match=r"`features` must name an output.*outputs are \['a', 'b'\]"):
        mz.transfer.lora(base, TASKS)
    assert mz.transfer.lora(base, TASKS, features="b").get_layer("left_logits").kernel.shape == (2, 3)


def test_adapters_on_adapters_are_refused():
    model = mz.transfer.lora(backbone(), TASKS)
    with pytest.raises(ValueError, match="`model` must not have adapters: merge them first"):
        mz.transfer.lora(model, TASKS)
