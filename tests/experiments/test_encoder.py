import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_zoo as mz
from mtl_zoo.experiments.choices import FAMILIES
from mtl_zoo.experiments.encoder import make_encoder

FAMILY = FAMILIES["encoder"]
TABLE = {"age": keras.Input((1,), name="age"), "job": keras.Input((1,), dtype="string", name="job")}
ROWS = {"age": np.array([20.0, 40.0]), "job": np.array(["nurse", "pilot"])}


def make(text, inputs, read=None):
    return make_encoder(FAMILY.parse(text), inputs, read)


def network(inputs, stages):
    return keras.Model(inputs, mz.encoders.encode(inputs, stages, "shared"))


def test_members_are_the_encoders():
    names = {"convnet", "mlp", "pretrained", "resnet", "spectrogram", "tabular", "transformer", "unet"}
    assert set(FAMILY.members()) == names


@pytest.mark.parametrize(("text", "sizes"), [("mlp:units=[6, 3]", [6, 3]), ("mlp:units=5,dropout=0.1", [5])])
def test_sizes_are_a_list_or_one(text, sizes):
    model = network(keras.Input((4,)), make(text, keras.Input((4,))))
    assert [x.units for x in model.layers if isinstance(x, keras.layers.Dense)] == sizes


def test_arguments_of_an_image_encoder():
    model = network(
        keras.Input((8, 8, 3)), make("convnet:filters=[4, 2],kernel_size=1", keras.Input((8, 8, 3)))
    )
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(x.filters, x.kernel_size) for x in convolutions] == [(4, (1, 1)), (2, (1, 1))]


def test_columns_are_adapted_on_training_data():
    read = lambda: tf.data.Dataset.from_tensor_slices((ROWS, {"y": [0, 1]})).batch(2)  # noqa: E731
    stages = make("tabular:units=[4],embedding_dim=3", TABLE, read)
    assert len(stages) == 2
    first = network(TABLE, stages[:1])
    x = {name: tf.constant(column)[:, None] for name, column in ROWS.items()}
    found = np.array(first(x))
    assert found.shape == (2, 1 + 3)
    np.testing.assert_allclose(found[:, 0], [-1, 1], rtol=1e-5)


def test_pretrained_networks_get_the_shape_and_the_pixels_that_they_want():
    arguments = "weights=None,arguments={'alpha': 0.25},sharing=shared"
    stages = make(f"pretrained:name=MobileNet,{arguments}", keras.Input((32, 32, 3)))
    plain = stages[0].keywords["stage"]
    images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype("float32")
    x = keras.Input((32, 32, 3))
    np.testing.assert_allclose(
        network(x, stages[:1])(images), network(x, [plain])(255 * images), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        ("mlp:units=4", TABLE, r"must suit the inputs of the dataset, columns\. Received: 'mlp:units=4'"),
        ("tabular:units=4", keras.Input((4,)), r"must suit .*, float32 of the shape \(None, 4\)\. Received"),
        ("transformer:vocabulary_size=9", keras.Input((4,)), "must suit the inputs"),
        ("mlp:units=4", keras.Input((4,), dtype="string"), "must suit the inputs of the dataset, string"),
        ("spectrogram:filters=4", keras.Input((8, 8, 1)), "must suit the inputs"),
        ("mlp:units=[4, 0]", keras.Input((4,)), "'mlp:units=.*: `units` must be an integer of at least 1"),
        ("mlp:units=four", keras.Input((4,)), "`units` must be an integer"),
        ("pretrained:name=MobileNet", keras.Input((4,)), r"`input_shape` must be \(height, width, 3\)"),
        ("pretrained:name=Mobile,weights=None", keras.Input((32, 32, 3)), "'pretrained:name=Mobile"),
    ],
)
def test_what_does_not_suit_is_refused(text, inputs, message):
    with pytest.raises(ValueError, match=message):
        make(text, inputs)


@pytest.mark.parametrize("text", ["mlp", "mlp:input_shape=4", "pretrained", "tabular:data=1,units=1"])
def test_what_the_data_give_is_no_argument(text):
    with pytest.raises(ValueError, match="This encoder takes"):
        FAMILY.parse(text)
