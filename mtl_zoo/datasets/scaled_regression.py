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
    del data_dir  # nothing is stored
    x, labels = arrays(SCALES, draw)[split]
    examples = tf.data.Dataset.from_tensor_slices({"x": x, **labels})
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def arrays(scales, draw):
    """Return `{split: (inputs, {task: labels})}` of tasks of other scales; shapes are those of `load`.

    Args:
        scales: Dictionary from the names of tasks to their scales, as `SCALES`.
        draw: As for `load`.
    """
    draw = arguments.integer("draw", draw, 0, arguments.SEED)
    random = np.random.default_rng(draw)
    shared = random.normal(scale=10.0, size=(NUM_INPUTS, NUM_OUTPUTS))
    matrices = {name: shared + random.normal(scale=3.5, size=shared.shape) for name in scales}
    return {split: _draw(random, size, scales, matrices) for split, size in SIZES.items()}


def inputs():
    """Return a fresh input, `[batch, 250]`."""
    return keras.Input((NUM_INPUTS,), name="x")


def encoder():
    """Return stages that suit the inputs: the paper's four dense ones."""
    return mlp(100, 100, 100, 100)


def _draw(random, number, scales, matrices):
    x = random.uniform(-1, 1, (number, NUM_INPUTS))
    labels = {name: scale * np.tanh(x @ matrices[name]) for name, scale in scales.items()}
    return x.astype("float32"), {name: values.astype("float32") for name, values in labels.items()}


def _transform(features):
    return features["x"], pipeline.pick(features, TASKS)
