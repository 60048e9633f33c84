import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo import exporting
from mtl_zoo.exporting.raw_inputs import example_features, image_input
from mtl_zoo.task import Task

TASKS = [Task.regression("mean"), Task.binary("bright")]
SCALE, OFFSET = (1 / 127.5, 1 / 255, 1.0), (-1.0, 0.0, -100.0)


def photo_model(size=(4, 4), **types):
    """An image of three channels and a number; one output shows the image, so that nothing is hidden."""
    photo = keras.Input((*size, 3), name="photo", **types)
    gain = keras.Input((1,), name="gain")
    image = keras.layers.Rescaling(1.0)(photo)
    values = keras.layers.GlobalAveragePooling2D()(image)
    outputs = {
        "image": image,
        "mean": keras.layers.Dense(1)(keras.layers.Concatenate()([values, gain])),
        "bright": keras.layers.Dense(1)(values),
    }
    return keras.Model({"photo": photo, "gain": gain}, outputs)


SHOWN = [*TASKS, Task.dense_regression("image", 3)]


def pictures(size=(4, 4), count=3):
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3)).astype("uint8")


def encode(images):
    return tf.constant([tf.io.encode_png(image).numpy() for image in images])


def exported(path, **arguments):
    model = photo_model()
    exporting.saved_model(model, SHOWN, path, image_bytes=exporting.Pixels(SCALE, OFFSET), **arguments)
    return tf.saved_model.load(str(path)).signatures


def test_encoded_images_are_decoded_scaled_and_answered_like_arrays(tmp_path):
    signatures = exported(tmp_path / "1")
    images, gain = pictures(), tf.ones((3, 1))
    answer = signatures["image_bytes"](image_bytes=encode(images), gain=gain)
    wanted = (images * np.array(SCALE) + np.array(OFFSET)).astype("float32")
    np.testing.assert_allclose(answer["image"], wanted, rtol=1e-5, atol=1e-5)
    for name, values in signatures["serving_default"](photo=tf.constant(wanted), gain=gain).items():
        np.testing.assert_allclose(answer[name], values, rtol=1e-5, atol=1e-5)
    constants = json.loads((tmp_path / "1" / "assets" / "preprocessing.json").read_text())
    assert constants == {
        "image_bytes": {
            "input": "photo",
            "shape": [4, 4, 3],
            "scale": pytest.approx(SCALE),
            "offset": list(OFFSET),
        }
    }


def test_examples_hold_encoded_images_or_values(tmp_path):
    images, gain = pictures(), np.arange(3.0)[:, None]
    encoded = exported(tmp_path / "1", example=True)
    examples = [example(photo=[png], gain=row) for png, row in zip(encode(images).numpy(), gain, strict=True)]
    answer = encoded["example"](examples=tf.constant(examples))
    wanted = encoded["image_bytes"](image_bytes=encode(images), gain=tf.constant(gain, tf.float32))
    for name, values in wanted.items():
        np.testing.assert_allclose(answer[name], values, rtol=1e-5, atol=1e-5)

    exporting.saved_model(photo_model(), SHOWN, tmp_path / "2", example=True)
    plain = tf.saved_model.load(str(tmp_path / "2")).signatures
    assert "image_bytes" not in plain
    x = np.random.default_rng(1).normal(size=(3, 4, 4, 3)).astype("float32")
    examples = [example(photo=image.ravel(), gain=row) for image, row in zip(x, gain, strict=True)]
    np.testing.assert_array_equal(plain["example"](examples=tf.constant(examples))["image"], x)


def example(**features):
    """Serialize a `tf.train.Example` of the features' own types."""
    kinds = {"f": "float_list", "i": "int64_list", "S": "bytes_list"}
    message = tf.train.Example()
    for name, values in features.items():
        kind = kinds[np.asarray(values).dtype.kind]
        getattr(message.features.feature[name], kind).value.extend(values)
    return message.SerializeToString()


def test_examples_of_tokens_are_padded_and_strings_stay(tmp_path):
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    job = keras.Input((1,), dtype="string", name="job")
    flag = keras.Input((1,), dtype="bool", name="flag")
    outputs = {
        "first": keras.layers.Embedding(9, 2)(tokens),
        "job": keras.layers.StringLookup(vocabulary=["cook", "clerk"], output_mode="one_hot")(job),
        "flag": keras.layers.Rescaling(1.0)(keras.ops.cast(flag, "float32")),
    }
    tasks = [Task.tagging("first", 2), Task.regression("job", 3), Task.regression("flag")]
    exporting.saved_model(keras.Model([tokens, job, flag], outputs), tasks, tmp_path / "1", example=True)
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["example"]
    examples = [
        example(tokens=[1, 2, 3], job=[b"clerk"], flag=[1]),
        example(tokens=[4], job=[b"cook"], flag=[0]),
    ]
    answer = signature(examples=tf.constant(examples))
    assert answer["first"].shape == (2, 3, 2)
    np.testing.assert_array_equal(answer["first"][1, 1], answer["first"][1, 2])
    assert answer["job"].numpy().tolist() == [[0, 0, 1], [0, 1, 0]]
    assert answer["flag"].numpy().tolist() == [[1], [0]]


def test_images_are_resized_to_the_model(tmp_path):
    images = np.repeat(np.repeat(pictures(), 2, axis=1), 2, axis=2)
    decoded = exporting.Pixels(scale=1.0).decode(encode(images), (4, 4, 3))
    expected = tf.image.resize(tf.cast(images, tf.float32), (4, 4), antialias=True)
    np.testing.assert_allclose(decoded, expected, atol=1e-4)


def test_images_of_a_free_size_keep_theirs():
    images = pictures((5, 2))
    np.testing.assert_array_equal(exporting.Pixels(1.0).decode(encode(images), (None, None, 3)), images)


def test_channels_are_those_of_the_model():
    images = np.repeat(pictures()[..., :1], 3, axis=-1)
    decoded = exporting.Pixels(1.0).decode(encode(images), (4, 4, 1))
    np.testing.assert_array_equal(decoded, images[..., :1])


def test_integer_images_stay_integers(tmp_path):
    model = photo_model(dtype="uint8")
    exporting.saved_model(model, SHOWN, tmp_path / "1", image_bytes=exporting.Pixels(1.0))
    signature = tf.saved_model.load(str(tmp_path / "1")).signatures["image_bytes"]
    answer = signature(image_bytes=encode(pictures()), gain=tf.ones((3, 1)))
    np.testing.assert_array_equal(answer["image"], pictures())


@pytest.mark.parametrize("wrong", [{"scale": (1.0, 2.0)}, {"offset": (0.0,) * 4}])
def test_pixels_have_one_constant_or_one_per_channel(wrong):
    with pytest.raises(ValueError, match=r"must be one number or 3, one per channel\. Received: \("):
        exporting.Pixels(**wrong).decode(encode(pictures()), (4, 4, 3))


def test_there_must_be_one_image():
    vector = keras.Input((4,), name="vector")
    with pytest.raises(ValueError, match=r"one input \[batch, height, .* inputs {'vector': \(None, 4\)}"):
        image_input(keras.Model(vector, keras.layers.Dense(1)(vector)))


def test_examples_have_one_free_axis():
    with pytest.raises(ValueError, match=r"fixed after the first\. Received: input 'photo' with shape"):
        example_features(photo_model((4, None)))
    assert set(example_features(photo_model((None, 4)))) == {"photo", "gain"}
