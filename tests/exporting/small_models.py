"""Small models that together have all kinds of input and output, for formats other than SavedModel."""

import keras
import numpy as np
from keras import layers

from mtl_zoo.task import Task


def images():
    """Images of free size with normalization, a map, a vector and an output without a task."""
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
    outputs = {
        "mask": layers.Conv2D(5, 1)(x),
        "kind": layers.Dense(3)(layers.GlobalAveragePooling2D()(x)),
        "unused": layers.Dense(2)(layers.GlobalMaxPooling2D()(x)),
    }
    return keras.Model(image, outputs), [Task.segmentation("mask", 5), Task.classification("kind", 3)]


def columns():
    """Strings and integers that are looked up, numbers with constants, and one task that reads a part."""
    inputs = {
        "job": keras.Input((1,), dtype="string", name="job"),
        "year-of-birth": keras.Input((), dtype="int64", name="year-of-birth"),
        "wage": keras.Input((1,), name="wage"),
    }
    job = layers.StringLookup(vocabulary=["clerk", "bäcker"])(inputs["job"])
    year = layers.IntegerLookup(vocabulary=[-3, 1970, 2**40])(inputs["year-of-birth"])
    wage = layers.Normalization(mean=[3.0], variance=[4.0])(inputs["wage"])
    vectors = [layers.Reshape((2,))(layers.Embedding(3, 2)(job)), layers.Embedding(4, 2)(year), wage]
    x = layers.Concatenate()(vectors)
    outputs = {"income": layers.Dense(1)(x), "age": layers.Dense(2)(wage), "flags": layers.Dense(4)(x)}
    tasks = [Task.binary("income"), Task.regression("age", 2), Task.multilabel("flags", 4)]
    return keras.Model(inputs, outputs), tasks


def tokens():
    """A list of inputs: tokens of free length with a mask and the exact gelu, and a vector."""
    words = keras.Input((None,), dtype="int32", name="words")
    scale = keras.Input((4,), name="scale")
    x = layers.Embedding(9, 4, mask_zero=True)(words)
    x = layers.MultiHeadAttention(2, 2)(x, x)
    x = layers.LayerNormalization()(layers.Dense(4, activation="gelu")(x))
    pooled = layers.Multiply()([layers.GlobalAveragePooling1D()(x), scale])
    tasks = [Task.tagging("tags", 5), Task.regression("size")]
    return keras.Model([words, scale], {"tags": layers.Dense(5)(x), "size": layers.Dense(1)(pooled)}), tasks


def _image_batch(size, random):
    image = random.normal(size=(size, 5 + size, 6, 3)).astype("float32")
    return image, {"mask": np.zeros((size, 5 + size, 6), int), "kind": np.arange(size) % 3}


def _column_batch(size, random):
    inputs = {
        "job": random.choice(["clerk", "bäcker", "x"], (size, 1)),
        "year-of-birth": random.choice([-3, 1970, 2**40, 5], size),
        "wage": random.normal(size=(size, 1)).astype("float32"),
    }
    inputs["job"] = np.char.encode(inputs["job"], "utf-8")
    return inputs, {"income": np.arange(size) % 2, "age": np.ones((size, 2)), "flags": np.ones((size, 4))}


def _token_batch(size, random):
    words = random.integers(1, 9, (size, 2 + size)).astype("int32")
    words[:, -1] = 0
    scale = random.normal(size=(size, 4)).astype("float32")
    return (words, scale), {"tags": words % 5, "size": np.ones(size)}


CASES = {
    "images": (images, _image_batch),
    "columns": (columns, _column_batch),
    "tokens": (tokens, _token_batch),
}


def make(case):
    """Return a model, whose weights and moving statistics are not those of fresh layers, and its tasks."""
    model, tasks = CASES[case][0]()
    random = np.random.default_rng(0)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(random.uniform(0.1, 1.0, variable.shape))
    return model, tasks


def batches(case, *sizes):
    """Return labelled batches."""
    random = np.random.default_rng(0)
    return [CASES[case][1](size, random) for size in sizes]
