import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Embedding
from tests.optimizers.harness import first_sizes

ROWS, WIDTH = 11, 3
IDS = np.array([[1, 2, 0], [10, 2, 5]])


def pair(**arguments):
    """Return a layer of Keras and ours, with the same weights."""
    plain, ours = (cls(ROWS, WIDTH, **arguments) for cls in (keras.layers.Embedding, Embedding))
    plain.build()
    ours.build()
    ours.set_weights(plain.get_weights())
    return plain, ours


@pytest.mark.parametrize(
    "ids",
    [IDS, IDS.astype("int32"), IDS.astype("uint8"), IDS + 0.7, -1 - IDS, IDS[0], np.int32(4), IDS[:0]],
    ids=["int64", "int32", "uint8", "floats", "from the end", "one axis", "scalar", "empty"],
)
def test_vectors_are_those_of_keras(ids):
    plain, ours = pair()
    wanted = plain(tf.constant(ids))
    found = ours(tf.constant(ids))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16", "float64", "mixed_bfloat16"])
def test_precision_is_that_of_keras(policy):
    plain, ours = pair(dtype=policy)
    assert ours(IDS).dtype == plain(IDS).dtype == ours.compute_dtype
    np.testing.assert_array_equal(tf.cast(ours(IDS), "float32"), tf.cast(plain(IDS), "float32"))


def test_masks_are_those_of_keras():
    plain, ours = pair(mask_zero=True)
    np.testing.assert_array_equal(ours(IDS)._keras_mask, plain(IDS)._keras_mask)
    assert not hasattr(pair()[1](IDS), "_keras_mask")


def test_ragged_integers_have_ragged_vectors():
    ours = pair()[1]
    found = ours(tf.ragged.constant([[1, 2], [], [10]], dtype="int64"))
    assert isinstance(found, tf.RaggedTensor)
    np.testing.assert_array_equal(found.values, ours(np.array([1, 2, 10])))
    assert found.row_lengths().numpy().tolist() == [2, 0, 1]


def test_sparse_integers_have_the_vectors_of_keras():
    plain, ours = pair()
    ids = tf.sparse.from_dense(IDS)
    np.testing.assert_array_equal(ours(ids), plain(ids))


@pytest.mark.parametrize("number", [ROWS, -ROWS - 1])
def test_integers_out_of_range_are_refused_as_in_keras(number):
    for layer in pair():
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"is not in \[0, 11\)"):
            layer(tf.constant([number]))


def test_the_gradient_is_one_of_rows_and_that_of_keras():
    found = []
    for layer in pair():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(IDS) ** 2)
        found.append(tape.gradient(loss, layer.trainable_variables)[0])
    assert isinstance(found[1], tf.IndexedSlices)
    np.testing.assert_allclose(*map(tf.convert_to_tensor, found), rtol=1e-6)


def test_nothing_in_a_graph_has_the_size_of_the_table():
    for layer, is_ours in zip(pair(), (False, True), strict=True):
        function = tf.function(layer).get_concrete_function(tf.constant(IDS))
        assert (ROWS in first_sizes(function)) != is_ours


def test_it_compiles_with_xla():
    plain, ours = pair()
    compiled = tf.function(ours, jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(IDS)), plain(IDS))


def test_regularizer_and_constraint_are_those_of_keras():
    weights = []
    for layer in pair(embeddings_regularizer="l2", embeddings_constraint="max_norm"):
        layer.embeddings.assign(40 * layer.embeddings)
        model = keras.Sequential([layer, keras.layers.Flatten()])
        model.compile("sgd", "mse")
        model.fit(IDS, np.ones((2, 3 * WIDTH)), epochs=2, verbose=0)
        weights.append(layer.get_weights()[0])
    np.testing.assert_allclose(*weights, rtol=1e-5)
    assert np.linalg.norm(weights[0], axis=0).max() <= 2.001


def test_lora_is_that_of_keras():
    outputs = []
    for layer in pair():
        layer.enable_lora(2, b_initializer="ones", a_initializer="ones")
        outputs.append(layer(IDS))
        assert [v.shape for v in layer.trainable_variables] == [(ROWS, 2), (2, WIDTH)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize`")
def test_quantized_it_is_that_of_keras(tmp_path):
    plain, ours = (keras.Sequential([keras.Input((3,)), layer]) for layer in pair())
    for model in (plain, ours):
        model.quantize("int8")
    np.testing.assert_array_equal(ours(IDS), plain(IDS))
    assert ours.layers[0].quantization_mode == "int8"
    ours.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(IDS), plain(IDS))


def test_it_works_on_given_values_of_its_variables():
    plain, ours = pair()
    table = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype("float32")
    for layer in (plain, ours):
        output, _ = layer.stateless_call([table], [], tf.constant(IDS))
        np.testing.assert_array_equal(output, table[IDS])


def test_initial_weights_can_be_given():
    table = np.arange(ROWS * WIDTH, dtype="float32").reshape(ROWS, WIDTH)
    np.testing.assert_array_equal(Embedding(ROWS, WIDTH, weights=table)(IDS), table[IDS])


def test_files_are_those_of_keras(tmp_path):
    models = [keras.Sequential([keras.Input((3,)), layer, keras.layers.Flatten()]) for layer in pair()]
    models[1].layers[0].embeddings.assign(np.ones((ROWS, WIDTH)))
    for one, other in (models, models[::-1]):
        one.save_weights(tmp_path / "one.weights.h5")
        other.load_weights(tmp_path / "one.weights.h5")
        np.testing.assert_array_equal(one(IDS), other(IDS))


def test_a_model_with_it_comes_back(tmp_path):
    layer = Embedding(ROWS, WIDTH, mask_zero=True, embeddings_initializer="ones", dtype="mixed_float16")
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layer])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.layers[0]) is Embedding
    assert again.layers[0].get_config() == layer.get_config()
    np.testing.assert_array_equal(again(IDS), model(IDS))
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_array_equal(loaded.serve(tf.constant(IDS, "int32")), model(IDS))
