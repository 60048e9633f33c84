"""Two synthetic regressions, one a hundred times as large as the other: GradNorm's."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

NUM_INPUTS, NUM_OUTPUTS = 250, 100
SCALES = {"small": 1.0, "large": 100.0}
TASKS = tuple(Task.regression(name, NUM_OUTPUTS) for name in SCALES)
FIELD = "synthetic"
SIZES = {"train": 10_000, "validation": 1_000, "test": 2_000}
LICENSE = "that of mtl_zoo"
DOWNLOAD = ""


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, draw=0):
    """Draw one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    The tasks are `y_i = s_i tanh((B + E_i) x)` with scales 1 and 100, a matrix `B` that both share, with
    elements of deviation 10, and matrices `E_i` of their own, with elements of deviation 3.5. With equal
    weights the large task wins; what counts is the sum of each loss relative to its first value. The seed
    `draw` draws tasks and examples.

    Returns:
        `tf.data.Dataset` of `(x, {"small": y, "large": y})`: float32 `[batch, 250]`, uniform from -1 to 1,
        and `[batch, 100]`.

    Reference:
        [Chen et al., 2018](https://arxiv.org/abs/1711.02257)

    Note:
        The paper does not say how its inputs are drawn.
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    draw = arguments.integer("draw", draw, 0, arguments.SEED)
    del data_dir  # nothing is stored
    examples = tf.data.Dataset.from_tensor_slices(_draw(draw)[split])
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def inputs():
    """Return a fresh input, `[batch, 250]`."""
    return keras.Input((NUM_INPUTS,), name="x")


def encoder():
    """Return stages that suit the inputs: the paper's four dense ones."""
    return mlp(100, 100, 100, 100)


def _draw(seed):
    """Return a dict of features for every split."""
    random = np.random.default_rng(seed)
    shared = random.normal(scale=10.0, size=(NUM_INPUTS, NUM_OUTPUTS))
    matrices = {name: shared + random.normal(scale=3.5, size=shared.shape) for name in SCALES}
    features = {}
    for split, size in SIZES.items():
        x = random.uniform(-1, 1, (size, NUM_INPUTS))
        labels = {name: scale * np.tanh(x @ matrices[name]) for name, scale in SCALES.items()}
        features[split] = {name: values.astype("float32") for name, values in {"x": x, **labels}.items()}
    return features


def _transform(features):
    return features["x"], pipeline.pick(features, TASKS)
