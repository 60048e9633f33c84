"""Models as people have them: both spaces, saving and export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import mtl_zoo as mz
from mtl_zoo.layers.sequence_average import SequenceAverage
from mtl_zoo.training.batch import count, portions
from mtl_zoo.training.representation import split
from mtl_zoo.training.step import compute

TOKENS = np.array([[1, 2, 3, 0], [4, 5, 6, 7], [8, 1, 0, 0]], "int32")
RNG = np.random.default_rng(0)
PIXELS = RNG.uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
SERIES = RNG.normal(size=(3, 4, 2)).astype("float32")
TAGS, KIND = mz.Task.tagging("tags", 4), mz.Task.classification("kind", 3)
TAGGED = {"tags": RNG.integers(0, 4, (3, 4)), "kind": np.array([0, 2, 1])}
WORDS = {"token_ids": TOKENS, "segment_ids": np.zeros_like(TOKENS), "padding_mask": np.sign(TOKENS)}


def tagger(features, state):
    return {"tags": layers.Dense(4, name="tags")(features), "kind": layers.Dense(3, name="kind")(state)}


def bert(nested=False):
    """Tags of the sequence, a class and a number of the pooled output."""
    hub = pytest.importorskip("keras_hub")
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    inner = hub.models.BertBackbone(vocabulary_size=50, max_sequence_length=4, dropout=0.0, **sizes)
    inputs, found = inner.input, inner.output
    if nested:
        inputs = {name: keras.Input((4,), dtype="int32", name=name) for name in inner.input}
        found = inner(inputs)
    outputs = tagger(found["sequence_output"], found["pooled_output"])
    model = keras.Model(inputs, {**outputs, "size": layers.Dense(1, name="size")(found["pooled_output"])})
    labels = {**TAGGED, "size": np.array([[1.0], [0.0], [2.0]], "float32")}
    return model, [TAGS, KIND, mz.Task.regression("size")], WORDS, labels


def nested_bert():
    return bert(nested=True)


def state():
    """A tagger whose first layer is recurrent: tags from its sequence, a class from its state."""
    x = keras.Input((4, 2), name="x")
    sequence, hidden, _ = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")(x)
    return keras.Model(x, tagger(sequence, hidden)), [TAGS, KIND], SERIES, TAGGED


def deep_state():
    """The same on trained features, so that what is cut is before the recurrent layer, which both share."""
    x = keras.Input((4, 2), name="x")
    features = layers.Dense(3, "tanh", name="features")(x)
    sequence, hidden = layers.GRU(3, return_sequences=True, return_state=True, name="gru")(features)
    return keras.Model(x, tagger(sequence, hidden)), [TAGS, KIND], SERIES, TAGGED


def masked():
    """An inner model that makes a mask, which decides over what each task averages."""
    x, y = (keras.Input((4,), dtype="int32", name=name) for name in ("x", "y"))
    inner = keras.Sequential([y, layers.Embedding(9, 3, mask_zero=True, name="words")], name="inner")
    features = inner(x)
    average = SequenceAverage(name="average")(layers.Dense(3, name="own")(features))
    return keras.Model(x, tagger(features, average)), [TAGS, KIND], TOKENS, TAGGED


def twice():
    """A layer that is used twice, once before the cut and once behind it."""
    x = keras.Input((4,), name="x")
    again = layers.Dense(4, "tanh", name="again")
    shared = again(x)
    outputs = {"kind": layers.Dense(3, name="kind")(again(shared)), "size": layers.Dense(1)(shared)}
    tasks, labels = [KIND, mz.Task.regression("size")], {"kind": TAGGED["kind"], "size": SERIES[:, :1, 0]}
    return keras.Model(x, outputs), tasks, RNG.normal(size=(3, 4)).astype("float32"), labels


def towers():
    """Two towers on a list of inputs, made by one inner model, that meet in two ways."""
    user, item = keras.Input((3,), name="user"), keras.Input((3,), name="item")
    x = keras.Input((3,))
    tower = keras.Model(x, layers.Dense(4, "tanh", name="hidden")(x), name="tower")
    left, right = tower(user), tower(item)
    outputs = {
        "click": layers.Dense(1, name="click")(layers.Multiply()([left, right])),
        "size": layers.Dense(1, name="size")(layers.Concatenate()([left, right])),
    }
    tasks, data = [mz.Task.binary("click"), mz.Task.regression("size")], RNG.normal(size=(2, 4, 3))
    labels = {"click": np.array([0, 1, 1, 0]), "size": np.arange(4.0, dtype="float32")[:, None]}
    return keras.Model([user, item], outputs), tasks, list(data.astype("float32")), labels


def mobilenet():
    """A mask of each pixel and a class, both from the last maps."""
    network = keras.applications.MobileNet(
        weights=None, alpha=0.25, input_shape=(32, 32, 3), include_top=False
    )
    x = layers.UpSampling2D(32, name="up")(network.output)
    outputs = {
        "mask": layers.Conv2D(2, 1, name="mask")(x),
        "kind": layers.Dense(3, name="kind")(layers.GlobalAveragePooling2D()(network.output)),
    }
    tasks = [mz.Task.segmentation("mask", 2), KIND]
    labels = {"mask": RNG.integers(0, 2, (2, 32, 32)), "kind": np.array([0, 2])}
    return keras.Model(network.input, outputs), tasks, PIXELS, labels


MODELS = [bert, nested_bert, state, deep_state, masked, twice, towers, mobilenet]


def gradients_of(trainer, x, y):
    """Return the gradients of a step, one per variable."""
    constant = (tf.nest.map_structure(tf.constant, x), {name: tf.constant(v) for name, v in y.items()})
    batch = count(trainer.problem, portions(constant, 1))
    return compute(trainer.problem, batch).gradients


def trainer_of(model, tasks, aggregator=None, space="representation"):
    trainer = mz.Trainer(model, tasks, aggregator=aggregator, space=space)
    trainer.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return trainer


@pytest.mark.parametrize("make", MODELS)
def test_the_sum_is_the_same_in_both_spaces(make):
    model, tasks, x, y = make()
    start, plain = model.get_weights(), None
    for space, aggregator in (("shared", None), ("representation", mz.aggregators.Sum())):
        model.set_weights(start)
        found = gradients_of(trainer_of(model, tasks, aggregator, space), x, y)
        plain = plain or found
        assert all(g is not None for g in found)
    scale = max(np.max(np.abs(tf.convert_to_tensor(g))) for g in plain)
    for variable, a, b in zip(model.trainable_variables, plain, found, strict=True):
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5 * scale, err_msg=variable.path)


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS)
def test_trained_saved_and_exported(make, tmp_path):
    model, tasks, x, y = make()
    trainer_of(model, tasks, mz.aggregators.PCGrad(seed=0)).train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    for name, logits in model(x).items():
        np.testing.assert_allclose(copy(x)[name], logits, rtol=1e-5, atol=1e-5)
    mz.exporting.saved_model(copy, tasks, tmp_path / "1")
    agreements = mz.exporting.verify(tmp_path / "1", copy, tasks, [(x, y)])
    assert all(found.within(1e-5, 1e-5) for found in agreements)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (bert, {"transformer_layer_0", "pooled_dense"}),
        (nested_bert, {"transformer_layer_0", "pooled_dense"}),
        (state, {"lstm"}),
        (deep_state, {"features"}),
        (masked, {"words"}),
        (twice, {"again"}),
        (towers, {"hidden"}),
        (mobilenet, {"conv_pw_13_relu"}),
    ],
)
def test_where_they_are_cut(make, names):
    model, tasks, _, _ = make()
    trunk, _ = split(model, tasks)
    assert {x._keras_history.operation.name for x in trunk.outputs} == names


@pytest.mark.parametrize("method", [mz.aggregators.MGDA, lambda: mz.aggregators.PCGrad(seed=3)])
def test_what_is_cut_together_is_aggregated_together(method):
    """By hand: the gradients of sequence and state, joined, and pulled back through the layer."""
    model, tasks, x, y = state()
    layer = model.get_layer("lstm")
    with tf.GradientTape(persistent=True) as tape:
        made = layer(x)[:2]
        with tape.stop_recording():
            cut = list(map(tf.identity, made))  # else the state is a part of the sequence
        tape.watch(cut)
        logits = {"tags": model.get_layer("tags")(cut[0]), "kind": model.get_layer("kind")(cut[1])}
        losses = [task.compute_loss(y[task.name], logits[task.name]) for task in tasks]
    blocks = []
    for tensor in cut:
        rows = [tape.gradient(loss, tensor) for loss in losses]
        rows = [tf.zeros_like(tensor) if row is None else row for row in rows]
        blocks.append(tf.stack([tf.reshape(row, [-1]) for row in rows]))
    directions = method()(blocks, tf.stack(losses))
    directions = [tf.reshape(d, t.shape) for d, t in zip(directions, cut, strict=True)]
    expected = tape.gradient(made, layer.trainable_variables, output_gradients=directions)
    found = gradients_of(trainer_of(model, tasks, method()), x, y)
    found = {v.path: g for v, g in zip(model.trainable_variables, found, strict=True)}
    for variable, gradient in zip(layer.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(found[variable.path], gradient, rtol=1e-4, atol=1e-6)
    for task, loss in zip(tasks, losses, strict=True):
        own = model.get_layer(task.name).kernel
        np.testing.assert_allclose(found[own.path], tape.gradient(loss, own.value), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [layers.GaussianNoise(1.0, seed=0), layers.BatchNormalization(scale=False)])
def test_noise_and_statistics_before_what_is_trained_are_made_once(layer):
    """One task sees what such a layer made, beside what is trained on it."""
    x = keras.Input((4,))
    made = layer(x)
    shared = layers.Dense(3, name="shared")(made)
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable, layer.beta.trainable = True, False
    beside = layers.Concatenate()([shared, made])
    model = keras.Model(x, {"kind": layers.Dense(3)(shared), "size": layers.Dense(1)(beside)})
    trunk, heads = split(model, [KIND, mz.Task.regression("size")])
    data = tf.constant(RNG.normal(size=(8, 4)), "float32")
    cut = trunk(data, training=True)
    assert len(cut) == 2
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(cut)
        size = heads([cut, data], training=True)["size"]
    assert tape.gradient(size, cut[0]) is not None
    assert tape.gradient(size, cut[1]) is None
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(size, np.concatenate(cut, axis=1) @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_a_model_that_computes_all_outputs_in_one_layer_is_refused():
    x = keras.Input((4, 2))
    sequence, hidden = layers.GRU(3, return_sequences=True, return_state=True, name="gru")(x)
    model = keras.Model(x, {"pairs": sequence, "kind": hidden})
    tasks = [mz.Task.tagging("pairs", 3), KIND]
    with pytest.raises(ValueError, match=r"'gru' computes outputs of several tasks at once; use `space="):
        split(model, tasks)
