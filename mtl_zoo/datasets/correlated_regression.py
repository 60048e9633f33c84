"""Two synthetic regressions of a chosen correlation: the MMoE paper's."""

import keras
import numpy as np
import tensorflow as tf

from mtl_zoo import arguments
from mtl_zoo.datasets import pipeline
from mtl_zoo.encoders import mlp
from mtl_zoo.task import Task

TASKS = (Task.regression("first"), Task.regression("second"))
FIELD = "synthetic"
SIZES = {"train": 20_000, "validation": 5_000, "test": 20_000}
LICENSE = "that of mtl_zoo"
DOWNLOAD = ""
NUM_INPUTS, NUM_SINES, SCALE, NOISE = 100, 5, 0.3, 0.1


def load(split, batch_size, data_dir=None, seed=0, drop_remainder=False, correlation=0.5, draw=0):
    """Draw one split in batches; arguments that all datasets share are in `mtl_zoo.datasets`.

    The tasks are `y_k = w_k x + sum_j sin(alpha_j w_k x + beta_j) + noise`, with 100 normal inputs, five
    sines (`alpha_j = j`, `beta_j` uniform on the circle, the same for both tasks), noise of 0.1, and weights
    of length 0.3 whose cosine is `correlation`. The seed `draw` draws tasks and examples.

    Returns:
        `tf.data.Dataset` of `(x, {"first": y, "second": y})`: float32 `[batch, 100]` and `[batch]`.

    Raises:
        ValueError: If the correlation is not between -1 and 1.

    Reference:
        [Ma et al., 2018](https://doi.org/10.1145/3219819.3220007)

    Note:
        The paper does not give `alpha` and `beta`; these are ours.
    """
    pipeline.check(SIZES, split, batch_size, data_dir, seed, drop_remainder)
    del data_dir  # nothing is stored
    x, labels = arrays(correlation, draw)[split]
    examples = tf.data.Dataset.from_tensor_slices({"x": x, **labels})
    return pipeline.batches(
        examples, split, batch_size, _transform, seed, drop_remainder, shuffle_buffer=SIZES["train"]
    )


def arrays(correlation, draw):
    """Return `{split: (inputs, {task: labels})}`; arguments and shapes are those of `load`."""
    random, weights, phases = _draw_tasks(correlation, draw)
    return {split: _draw(random, size, weights, phases) for split, size in SIZES.items()}


def parameters(correlation, draw):
    """Return the weights `w` `[100, 2]` and the `beta` `[5]` of a draw; arguments are those of `load`."""
    return _draw_tasks(correlation, draw)[1:]


def inputs():
    """Return a fresh input, `[batch, 100]`."""
    return keras.Input((NUM_INPUTS,), name="x")


def encoder():
    """Return stages that suit the inputs: a dense one, of the paper's size of an expert."""
    return mlp(16)


def _draw_tasks(correlation, draw):
    correlation = arguments.number("correlation", correlation, least=-1, most=1)
    random = np.random.default_rng(arguments.integer("draw", draw, 0, arguments.SEED))
    first, second = np.linalg.qr(random.normal(size=(NUM_INPUTS, 2)))[0].T
    second = correlation * first + np.sqrt(1 - correlation**2) * second
    weights = SCALE * np.stack([first, second], axis=1)
    return random, weights, random.uniform(0, 2 * np.pi, NUM_SINES)


def _draw(random, number, weights, phases):
    x = random.normal(size=(number, NUM_INPUTS))
    linear = x @ weights
    waves = np.sin(np.arange(1, NUM_SINES + 1) * linear[..., np.newaxis] + phases)
    y = linear + waves.sum(axis=-1) + random.normal(scale=NOISE, size=linear.shape)
    labels = {task.name: column for task, column in zip(TASKS, y.T.astype("float32"), strict=True)}
    return x.astype("float32"), labels


def _transform(features):
    return features["x"], pipeline.pick(features, TASKS)
