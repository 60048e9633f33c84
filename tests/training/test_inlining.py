import keras
import numpy as np
from keras import layers

from mtl_zoo.layers.sequence_average import SequenceAverage
from mtl_zoo.training.inlining import inlined

TOKENS = np.array([[1, 2, 0, 0], [3, 4, 5, 6]], "int32")


def embedding(name):
    x = keras.Input((4,), dtype="int32")
    embedded = layers.Embedding(9, 3, mask_zero=True, name=f"{name}_words")(x)
    return keras.Model(x, {"all": embedded, "one": embedded[:, 0]}, name=name)


def names(model):
    return [x.name for x in model.layers if not isinstance(x, layers.InputLayer)]


def test_masks_and_outputs_of_inner_models_are_seen():
    x = keras.Input((4,), dtype="int32", name="x")
    inner = embedding("inner")
    middle = keras.Model(x, inner(x), name="middle")
    twice = [middle(x), middle(x[:, ::-1])]
    model = keras.Model(x, [SequenceAverage(name="average")(twice[0]["all"]), twice[1]["one"]])
    flat = inlined(model)
    assert sorted(names(flat)) == ["average", "inner_words"]
    for found, expected in zip(flat(TOKENS), model(TOKENS), strict=True):
        np.testing.assert_array_equal(found, expected)
    average = flat.get_layer("average")._inbound_nodes[-1]
    assert average.arguments.kwargs["mask"].dtype == "bool"  # where Keras' nested model has none


def test_inner_models_of_equal_names_stay():
    x = keras.Input((2,))
    towers = [
        keras.Sequential([keras.Input((2,)), layers.Dense(3, name="dense")], name=name) for name in "ab"
    ]
    model = keras.Model(x, layers.Add(name="add")([tower(x) for tower in towers]))
    assert sorted(names(inlined(model))) == ["a", "add", "b"]


@keras.saving.register_keras_serializable("test_inlining")
class Doubling(keras.Model):
    """Computes other than its graph."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


def test_a_model_that_computes_more_than_its_graph_stays():
    y = keras.Input((2,))
    own = Doubling(y, layers.Dense(2, name="within")(y), name="own")
    x = keras.Input((2,))
    model = keras.Model(x, own(x))
    np.testing.assert_array_equal(inlined(model)(np.ones((1, 2))), model(np.ones((1, 2))))


def test_a_frozen_inner_model_stays_in_inference():
    y, x = keras.Input((2,), dtype="float32"), keras.Input((2,), dtype="int32", name="x")
    inner = keras.Model(y, layers.Dropout(0.9, name="drop")(layers.BatchNormalization(name="norm")(y)))
    model = keras.Model(x, layers.Dense(1, name="dense")(inner(x, training=False)))
    data, flat = np.array([[3, 5], [2, 1]]), inlined(model)
    assert sorted(names(flat)) == ["dense", "drop", "norm"]
    np.testing.assert_array_equal(flat(data), model(data))
    call = flat.get_layer("norm")._inbound_nodes[-1]
    assert call.arguments.kwargs["training"] is False
