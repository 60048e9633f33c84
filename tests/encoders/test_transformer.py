import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.encoders import encode, transformer
from mtl_zoo.experiments.choices import FAMILIES

TASKS = (mz.Task.classification("kind", 3), mz.Task.tagging("tag", 4))


def tokens(length, size=4):
    return np.random.default_rng(0).integers(1, 9, (size, length))


def padded(x, number):
    return np.concatenate([x, np.zeros((len(x), number), x.dtype)], axis=1)


def network(builder=mz.architectures.hard_sharing, depth=2, tasks=TASKS):
    keras.utils.set_random_seed(0)
    encoder = transformer(9, width=8, depth=depth, num_heads=2, max_length=8)
    return builder(keras.Input((None,), dtype="int64"), tasks, encoder)


def test_stages_keep_length_and_width():
    stages = transformer(9, width=8, depth=3, num_heads=2)
    assert len(stages) == 4
    x = keras.Input((5,), dtype="int32")
    for index, stage in enumerate(stages):
        x = stage(x, f"x_{index}")
        assert x.shape == (None, 5, 8)


def test_parameter_counts():
    # 9 vectors of tokens and 5 of positions; a block has four maps of attention and two dense layers with
    # biases, and two normalizations.
    model = keras.Model(x := keras.Input((5,), dtype="int32"), encode(x, transformer(9, 8, 2, 2, 16), "x"))
    block = 4 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8) + 2 * 2 * 8
    assert model.count_params() == 9 * 8 + 5 * 8 + 2 * block


def test_a_block_by_hand():
    x = keras.Input((5,), dtype="int32")
    model = keras.Model(x, encode(x, transformer(9, 8, 1, 2, 16), "x"))
    ids = tokens(5)
    positions = model.get_layer("x_1_positions").positions
    embedded = model.get_layer("x_1_tokens").get_weights()[0][ids] + positions
    attended = model.get_layer("x_2_attention")(embedded)

    def norm(x, name):
        x = np.asarray(x, "float64")
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)

    hidden = norm(embedded + attended, "x_2_attention_norm")
    inner, outer = (model.get_layer(f"x_2_{name}") for name in ("inner", "outer"))
    active = keras.activations.gelu(hidden @ np.array(inner.kernel) + np.array(inner.bias))
    expected = norm(hidden + active @ np.array(outer.kernel) + np.array(outer.bias), "x_2_dense_norm")
    np.testing.assert_allclose(model(ids), expected, rtol=1e-3, atol=1e-4)


ARCHITECTURES = sorted(set(FAMILIES["architecture"].members()) - {"esmm", "escm2"})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_padding_changes_no_logit_of_any_architecture(name):
    tasks = TASKS[:1] if name == "aitm" else TASKS
    model = network(getattr(mz.architectures, name), depth=1, tasks=tasks)
    x = tokens(4)
    short, long = model(x), model(padded(x, 3))
    np.testing.assert_allclose(long["kind"], short["kind"], rtol=1e-4, atol=1e-5)
    if len(tasks) > 1:
        np.testing.assert_allclose(long["tag"][:, :4], short["tag"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_sequence_of_padding_alone_is_finite_in_every_architecture(name):
    tasks = TASKS[:1] if name == "aitm" else TASKS
    x, labels = tokens(4), {"kind": np.array([0, 1, 2, 0]), "tag": tokens(4) % 4}
    model = network(getattr(mz.architectures, name), depth=1, tasks=tasks)
    alone = model(x[1:])["kind"]
    for number in (1, 4):  # one of them, or all of a batch
        x[:number] = 0
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            found = [task.compute_loss(labels[task.name], logits[task.name]) for task in tasks]
        gradients = tape.gradient(found, model.trainable_variables, unconnected_gradients="zero")
        floats = [v for v in model.non_trainable_variables if v.dtype == "float32"]
        for value in [*logits.values(), *found, *map(tf.convert_to_tensor, gradients), *floats]:
            assert np.all(np.isfinite(value))
        if number == 1 and name not in (
            "mtan",
            "nddr",
            "branching",
            "home",
        ):  # whose layers learn from the batch
            np.testing.assert_allclose(model(x)["kind"][1:], alone, rtol=1e-4, atol=1e-5)


def test_a_sequence_of_padding_alone_costs_no_step():
    model = network(depth=1, tasks=TASKS[:1])
    trainer = mz.Trainer(model, TASKS[:1])
    trainer.compile(keras.optimizers.SGD(0.1))
    x = tokens(4, size=8)
    x[5] = 0
    logs = trainer.fit(x, {"kind": np.arange(8) % 3}, batch_size=8, verbose=0).history
    assert logs["skipped_steps"] == [0]
    # Nothing is known of it: its probabilities are those of the bias.
    np.testing.assert_allclose(model(x)["kind"][5], model.get_layer("kind_logits").bias, rtol=1e-5)


def test_the_order_of_tokens_matters():
    model, x = network(), tokens(4)
    assert not np.allclose(model(x)["kind"], model(x[:, ::-1])["kind"], atol=1e-3)


@pytest.mark.parametrize("builder", [mz.architectures.hard_sharing, mz.architectures.mmoe])
def test_padding_changes_no_gradient_in_either_space(builder):
    x, labels = tokens(4), {"kind": np.array([0, 1, 2, 0]), "tag": tokens(4) % 4}
    weights = []
    for space in ("shared", "representation"):
        for pad in (0, 3):
            model = network(builder, depth=1)
            trainer = mz.Trainer(model, TASKS, aggregator=mz.aggregators.Sum(), space=space)
            trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
            tags = np.concatenate([labels["tag"], np.full((4, pad), -1)], axis=1)
            trainer.train_on_batch(padded(x, pad), labels | {"tag": tags})
            weights.append(model.get_weights())
    for others in zip(*weights, strict=True):
        for other in others[1:]:
            np.testing.assert_allclose(other, others[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_learns_compiled_with_dropout(jit_compile):
    keras.utils.set_random_seed(0)
    encoder = transformer(9, width=8, depth=1, num_heads=2, dropout=0.1)
    model = mz.architectures.hard_sharing(keras.Input((4,), dtype="int64"), TASKS[1:], encoder)
    trainer = mz.Trainer(model, TASKS[1:])
    trainer.compile(keras.optimizers.Adam(0.03), jit_compile=jit_compile)
    x = tokens(4, size=32)
    history = trainer.fit(x, {"tag": x % 4}, epochs=12, verbose=0).history
    assert history["tag_loss"][-1] < 0.5 * history["tag_loss"][0]


def test_exports_with_tokens_as_inputs(tmp_path):
    model = network()
    mz.exporting.saved_model(model, TASKS, tmp_path / "1")
    x = tf.constant(padded(tokens(4), 2))
    signature = tf.saved_model.load(tmp_path / "1").signatures["kind"]
    answer = signature(**{model.inputs[0].name: x})["kind"]
    np.testing.assert_allclose(answer, tf.nn.softmax(model(x)["kind"]), rtol=1e-4, atol=1e-6)


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network()
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = model(tokens(4))
    assert {x.dtype for x in outputs.values()} == {tf.float32}
    assert all(np.all(np.isfinite(x)) for x in outputs.values())


def test_errors():
    with pytest.raises(ValueError, match=r"must divide `width`. Received: num_heads=3, width=8"):
        transformer(9, width=8, num_heads=3)
    with pytest.raises(ValueError, match="`max_length` must be given where the inputs have no static length"):
        encode(keras.Input((None,), dtype="int32"), transformer(9), "x")
