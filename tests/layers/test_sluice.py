import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtl_zoo.layers import Sluice


def towers(*shape):
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype("float32") for _ in range(3)]


def by_hand(kernel, inputs, parts):
    """Mix subspaces in float64."""
    subspaces = [part for x in inputs for part in np.split(x.astype("float64"), parts, axis=-1)]
    mixed = [sum(weight * x for weight, x in zip(row, subspaces, strict=True)) for row in kernel]
    return [np.concatenate(mixed[i : i + parts], axis=-1) for i in range(0, len(mixed), parts)]


@pytest.mark.parametrize(("parts", "shape"), [(1, (2, 4)), (2, (2, 4)), (4, (2, 3, 4)), (2, (2, 3, 5, 4))])
def test_values_by_hand(parts, shape):
    unit = Sluice(num_subspaces=parts)
    inputs = towers(*shape)
    unit(inputs)
    kernel = np.random.default_rng(1).normal(size=(3 * parts, 3 * parts))
    unit.kernel.assign(kernel)
    for mixed, expected in zip(unit(inputs), by_hand(kernel, inputs, parts), strict=True):
        np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-5)


def test_the_kernel_starts_near_the_identity_with_rows_of_sum_one():
    unit = Sluice(num_subspaces=2)
    unit.build([(None, 4)] * 3)
    np.testing.assert_allclose(np.diag(unit.kernel), 0.9, rtol=1e-6)
    np.testing.assert_allclose(np.sum(unit.kernel, axis=1), 1, rtol=1e-6)


def test_compiles_and_keeps_masks():
    unit = Sluice()
    inputs = towers(2, 3, 4)
    for compiled, eager in zip(tf.function(unit, jit_compile=True)(inputs), unit(inputs), strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    tokens = keras.layers.Embedding(5, 4, mask_zero=True)(np.array([[1, 2, 0]]))
    for x in unit([tokens, tokens, tokens]):
        assert np.array(x._keras_mask).tolist() == [[True, True, False]]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (itertools.repeat((1, 3), 2), "must divide the channels. Received: num_subspaces=2, 3 channels"),
        (((1, 4), (1, 2)), "All towers must have the same shape. Received: "),
    ],
)
def test_errors(shapes, message):
    with pytest.raises(ValueError, match=message):
        Sluice()([np.zeros(shape) for shape in shapes])
