"""Signatures for what clients have: encoded images and serialized examples."""

import dataclasses

import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.exporting.signatures import Signature, predictor

IMAGE_BYTES = "image_bytes"
EXAMPLE = "example"
EXAMPLES = "examples"
PREPROCESSING = "preprocessing.json"
CHANNELS = (1, 3, 4)


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How an encoded image becomes the image that a model takes.

    It is decoded (JPEG, PNG, BMP, or the first frame of a GIF), resized with antialiasing to the size of the
    model's input unless that is free, and computed as `scale * pixel + offset`, with pixels from 0 to 255.

    Args:
        scale: Float, or one per channel. Defaults to 1 / 255, for images in `[0, 1]`.
        offset: Float, or one per channel. Defaults to 0.
    """

    scale: float | tuple[float, ...] = 1 / 255
    offset: float | tuple[float, ...] = 0.0

    def __post_init__(self):
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, (tuple, list, np.ndarray)):
                arguments.numbers(name, value)
            else:
                arguments.number(name, value)

    def decode(self, encoded, shape):
        """Return images `[batch, *shape]`, float32, from encoded ones, a string tensor `[batch]`.

        Where `shape` leaves height and width free, the images of a batch must have one size.
        """
        *size, channels = shape
        for numbers in (self.scale, self.offset):
            if np.shape(numbers) not in ((), (1,), (channels,)):
                raise ValueError(
                    f"Scale and offset of pixels must be one number or {channels}, one per channel. "
                    f"Received: {numbers}"
                )

        def decode_one(image):
            image = tf.io.decode_image(image, channels, tf.uint8, expand_animations=False)
            image.set_shape((None, None, channels))
            image = tf.cast(image, tf.float32)
            return image if None in size else tf.image.resize(image, size, antialias=True)

        spec = tf.TensorSpec(shape, tf.float32)
        return tf.map_fn(decode_one, encoded, fn_output_signature=spec) * self.scale + self.offset


def on_image_bytes(model, tasks, answer, pixels):
    """Return the signature `image_bytes`, which takes encoded images in place of the model's image.

    Args:
        model: Functional `keras.Model`, one of whose inputs is an image.
        tasks: Sequence of `mtl_zoo.Task`.
        answer: Function from a task and its logits to a dict of tensors.
        pixels: `Pixels`.

    Returns:
        `Signature` with the string `image_bytes`, `[batch]`, and the model's other inputs; it answers all
        tasks.
    """
    image = image_input(model)
    predict = predictor(model, tasks, answer)
    specs = [
        tf.TensorSpec((None,), tf.string, IMAGE_BYTES)
        if x is image
        else tf.TensorSpec((None, *x.shape[1:]), x.dtype, x.name)
        for x in model.inputs
    ]

    def predict_images(*inputs):
        return predict(
            *(
                _converted(x, pixels.decode(value, x.shape[1:])) if x is image else value
                for x, value in zip(model.inputs, inputs, strict=True)
            )
        )

    return Signature(IMAGE_BYTES, predict_images, specs)


def on_examples(model, tasks, answer, pixels=None):
    """Return the signature `example`, which takes serialized `tf.train.Example`s.

    Args:
        model: Functional `keras.Model`.
        tasks: As for `on_image_bytes`.
        answer: As for `on_image_bytes`.
        pixels: `Pixels` if the feature of the image is an encoded image. Defaults to `None`: its values.

    Returns:
        `Signature` with the string `examples`, `[batch]`; it answers all tasks.
    """
    features, predict = example_features(model, pixels), predictor(model, tasks, answer)
    image = image_input(model) if pixels else None

    def predict_examples(examples):
        values = tf.io.parse_example(examples, features)
        return predict(
            *(
                _converted(x, pixels.decode(values[x.name], x.shape[1:]) if x is image else values[x.name])
                for x in model.inputs
            )
        )

    return Signature(EXAMPLE, predict_examples, [tf.TensorSpec((None,), tf.string, EXAMPLES)])


def example_features(model, pixels=None):
    """Return what a `tf.train.Example` must hold: one feature per input of the model, with its name.

    Numbers are `float_list`, integers and booleans `int64_list`, strings and encoded images `bytes_list`. A
    first axis of free size is padded with zeros, or empty strings, to the longest example of a batch.

    Args:
        model: Functional `keras.Model`.
        pixels: As for `on_examples`.

    Returns:
        Dictionary of features for `tf.io.parse_example`.

    Raises:
        ValueError: If an axis other than the first has a free size.
    """
    image = image_input(model) if pixels else None
    return {x.name: tf.io.FixedLenFeature((), tf.string) if x is image else _feature(x) for x in model.inputs}


def image_input(model):
    """Return the one input of a model that is an image; a `ValueError` if there is not exactly one."""
    images = [x for x in model.inputs if len(x.shape) == 4 and x.shape[-1] in CHANNELS]
    if len(images) != 1:
        shapes = {x.name: tuple(x.shape) for x in model.inputs}
        raise ValueError(
            "Encoded images must have one input [batch, height, width, channels] of the model, with "
            f"1, 3 or 4 channels. Received a model with inputs {shapes}"
        )
    return images[0]


def _feature(x):
    shape, dtype = tuple(x.shape[1:]), tf.as_dtype(x.dtype)
    stored = tf.float32 if dtype.is_floating else tf.string if dtype == tf.string else tf.int64
    if None not in shape:
        return tf.io.FixedLenFeature(shape, stored)
    if None in shape[1:]:
        raise ValueError(
            "A `tf.train.Example` must have inputs whose axes are fixed after the first. "
            f"Received: input '{x.name}' with shape {tuple(x.shape)}"
        )
    return tf.io.FixedLenSequenceFeature(shape[1:], stored, allow_missing=True)


def _converted(x, value):
    return value if tf.as_dtype(x.dtype) == value.dtype else tf.cast(value, x.dtype)
