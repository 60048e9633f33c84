"""Stages out of models of all kinds, KerasHub's among them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.encoders import backbone, encode, mlp

TASKS = (mz.Task.classification("kind", 3), mz.Task.binary("flag"))
TOKENS = np.array([[1, 2, 3, 0], [4, 5, 6, 7], [8, 1, 0, 0]], "int32")


def differing(model):
    """Return a model with weights as unlike initial ones as trained ones are."""
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + random.normal(0, 0.2, variable.shape))
    return model


@functools.cache
def bert():
    hub = pytest.importorskip("keras_hub")
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 16}
    model = hub.models.BertBackbone(vocabulary_size=50, max_sequence_length=4, dropout=0.0, **sizes)
    return differing(model)


def sentences():
    padding = (TOKENS > 0).astype("int32")
    return {"token_ids": TOKENS, "segment_ids": np.zeros_like(TOKENS), "padding_mask": padding}


def inputs_of(model):
    return keras.tree.map_structure(
        lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), model.input
    )


@pytest.mark.parametrize(
    ("cut", "lengths"),
    [(None, []), ("transformer_layer_0", [2]), (["transformer_layer_0", "embeddings_dropout"], [2, 2])],
)
@pytest.mark.parametrize("sharing", ["copied", "shared", "frozen"])
def test_the_stages_of_bert_together_are_bert(cut, lengths, sharing):
    model, x = bert(), inputs_of(bert())
    encoder = backbone(model, cut=cut, sharing=sharing, output=["pooled_output", "sequence_output"])
    found, sizes = x, []
    for index, stage in enumerate(encoder, start=1):
        found = stage(found, f"shared_{index}")
        sizes.append(len(found))
    assert sizes == [*lengths, 2]  # the mask of padding goes on beside the features
    copy = keras.Model(x, found)
    expected = model(sentences())
    for got, name in zip(copy(sentences()), ("pooled_output", "sequence_output"), strict=True):
        np.testing.assert_allclose(got, expected[name], rtol=1e-5, atol=1e-5)
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}
    assert bool(copy.trainable_variables) == (sharing != "frozen")


@pytest.mark.parametrize("architecture", ["hard_sharing", "cross_stitch", "mmoe", "ple", "mtan"])
def test_architectures_take_stages_of_bert(architecture, tmp_path):
    encoder = backbone(bert(), cut="embeddings_dropout,transformer_layer_0", output="sequence_output")
    model = getattr(mz.architectures, architecture)(inputs_of(bert()), TASKS, encoder)
    x, y = sentences(), {"kind": np.array([0, 1, 2]), "flag": np.array([0, 1, 1])}
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = sum(task.compute_loss(y[task.name], logits[task.name]) for task in TASKS)
    assert all(g is not None for g in tape.gradient(loss, model.trainable_variables))
    model.save(tmp_path / "m.keras")
    copy = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(copy(x)["kind"], model(x)["kind"], rtol=1e-5, atol=1e-6)


def test_the_stages_of_a_resnet_of_keras_hub_together_are_it():
    hub = pytest.importorskip("keras_hub")
    network = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    differing(network)
    x, inputs = np.random.default_rng(0).normal(size=(2, 16, 16, 3)), keras.Input((16, 16, 3), name="image")
    encoder = backbone(network, cut=["pool1_pool", "stack0_block0_1_conv"])
    lengths = [len(keras.tree.flatten(encode(inputs, encoder[:n], "shared"))) for n in (1, 2, 3)]
    assert lengths == [1, 2, 1]  # the shortcut goes on beside what is inside the block
    model = keras.Model(inputs, encode(inputs, encoder, "shared"))
    np.testing.assert_allclose(model(x), network(x), rtol=1e-4, atol=1e-4)


def own(mask_zero=True):
    """Return a model with text, numbers that were adapted to, a mask and an inner model."""
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    number = keras.Input((2,), name="number")
    scale = layers.Normalization(name="scale")
    scale.adapt(np.array([[1.0, 5.0], [3.0, 9.0]]))
    inner = keras.Sequential([keras.Input((2,)), layers.Dense(3, name="dense")], name="inner")
    words = layers.Embedding(9, 3, mask_zero=mask_zero, name="words")(tokens)
    shifted = layers.Dense(3, name="shift")(inner(scale(number)))
    sequence = layers.LSTM(3, return_sequences=True, name="lstm")(words, initial_state=[shifted, shifted])
    return differing(keras.Model([tokens, number], layers.Dense(3, name="last")(sequence), name="own"))


def test_adapted_layers_inner_models_and_masks_are_copied():
    model, inputs = own(), [keras.Input((4,), dtype="int32", name="t"), keras.Input((2,), name="n")]
    data = [TOKENS, np.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.1]], "float32")]
    task = mz.Task.regression("size")
    for cut in (None, "words", "lstm", "inner,lstm"):
        encoder = backbone(model, cut=cut)
        built = mz.architectures.hard_sharing(inputs, [task], encoder)
        features = keras.Model(inputs, encode(inputs, encoder, "shared"))
        np.testing.assert_allclose(features(data), model(data), rtol=1e-5, atol=1e-6)
        mask = features.output._keras_mask  # so that averages leave padding out
        np.testing.assert_array_equal(keras.Model(inputs, mask)(data), TOKENS > 0)
        head = built.get_layer("size_logits")
        mean = np.array(
            [
                row[: np.sum(tokens > 0)].mean(axis=0)
                for row, tokens in zip(model(data).numpy(), TOKENS, strict=True)
            ]
        )
        np.testing.assert_allclose(built(data)["size"], head(mean), rtol=1e-4, atol=1e-5)


def test_copies_are_fresh_and_the_model_stays_as_it_is():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")])
    before, x = model.get_weights(), keras.Input((4,))
    towers = mz.architectures.single_task(x, TASKS, [*backbone(model, cut=["a"]), *mlp(4)])
    names = [v.path for v in towers.variables]
    assert len(names) == len(set(names)) == 2 * (4 + 2 + 2)
    assert [layer.name for layer in model.layers] == ["a", "b"]
    trainer = mz.Trainer(towers, TASKS)
    trainer.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    labels = {"kind": np.array([0, 2]), "flag": np.array([0, 1])}
    trainer.train_on_batch(np.eye(2, 4, dtype="float32"), labels)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_branches_of_masks_are_refused():
    model = keras.Model((x := keras.Input((4,), dtype="int32")), layers.Embedding(9, 3, name="e")(x))
    encoder = backbone(model)

    def flagged(x, name):
        return [keras.ops.cast(x, "int32"), encoder[0](x, name)]

    with pytest.raises(ValueError, match=r"must be tensors of floats.* Received: float32, int32"):
        mz.architectures.branching(keras.Input((4,), dtype="int32"), TASKS, [flagged])


@keras.saving.register_keras_serializable("test_backbone")
class Other(keras.Model):
    """Computes other than its graph."""

    def call(self, inputs, training=None, mask=None):
        return 2 * inputs


def two_outputs():
    x = keras.Input((4,), name="x")
    a = layers.Dense(2, name="a")(x)
    return keras.Model(x, [a, layers.Dense(3, name="b")(a)])


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (two_outputs, {}, r"`output` must name one of .*\['a', 'b'\]. Received: output=None"),
        (two_outputs, {"output": "c"}, r"`output` must name one of .* Received: output='c'"),
        (
            two_outputs,
            {"output": "b", "cut": "c"},
            r"`cut` must name .* are \['a'\]. Received: \['c'\]",
        ),
        (two_outputs, {"output": "b", "cut": ["b"]}, r"`cut` must name inner .* Received: \['b'\]"),
        (two_outputs, {"output": "b", "sharing": "no"}, r"`sharing` must be one of"),
        (lambda: Other(x := keras.Input((2,)), layers.Dense(2)(x)), {}, r"whose `call` is Keras' own"),
        (
            lambda: keras.Sequential([layers.Dense(2)]),
            {},
            r"a functional or sequential .* with inputs",
        ),
    ],
)
def test_errors(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        backbone(make(), **arguments)


def test_inputs_of_another_structure_are_refused():
    x = {"a": keras.Input((2,), name="a"), "b": keras.Input((2,), name="b")}
    encoder = backbone(keras.Model(x, layers.Add()(list(x.values()))))
    with pytest.raises(ValueError, match=r"Inputs must be structured like .*'a': 'a'.* Received: n"):
        encoder[0](keras.Input((2,), name="n"), "shared_1")
    with pytest.raises(ValueError, match=r"one tensor as features. Received: 2"):
        mz.heads.head(list(x.values()), TASKS[0])
