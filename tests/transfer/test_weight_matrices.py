import keras
import numpy as np
import pytest
from keras import layers

from mtl_zoo.transfer.weight_matrices import input_axes, through


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.Dense(3), (4,), [(0,), None]),
        (layers.Conv1D(3, 2), (5, 4), [(0, 1), None]),
        (layers.Conv2D(4, 2, groups=2), (5, 5, 4), [None, None]),
        (layers.Conv2DTranspose(3, 2), (5, 5, 4), [(3,), None]),
        (layers.DepthwiseConv2D(2), (5, 5, 4), [None, None]),
        (layers.SeparableConv2D(3, 2), (5, 5, 4), [None, (0, 1, 2), None]),
        (layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de"), (5, 4), [(0,), None]),
        (layers.EinsumDense("abcd,cde->abe", (None, 3)), (5, 2, 4), [(0, 1)]),
        (layers.EinsumDense("ab,b->ab", (3,)), (3,), [None]),
        (layers.Embedding(6, 3), (5,), [(0,)]),
        (layers.GRU(3), (5, 4), [(0,), (0,), None]),
        (layers.Bidirectional(layers.LSTM(3)), (5, 4), [(0,), (0,), None] * 2),
        (layers.BatchNormalization(), (4,), [None] * 4),
        (keras.Sequential([layers.Dense(3), layers.LayerNormalization()]), (4,), [(0,), None, None, None]),
    ],
)
def test_inputs_of_kernels(layer, shape, axes):
    layer(keras.Input(shape))
    assert input_axes(layer) == axes


def test_attention():
    layer, x = layers.MultiHeadAttention(2, 3), keras.Input((5, 4))
    layer(x, x)
    assert input_axes(layer) == [*[(0,), None] * 3, (0, 1), None]


def test_a_dense_kernel_and_one_over_patches_are_the_matrices_that_the_layers_apply():
    layer, x = layers.Conv2D(3, 2), np.random.default_rng(0).standard_normal((1, 2, 2, 4)).astype("float32")
    wanted = np.asarray(layer(x)).ravel()
    (axes, _), kernel = input_axes(layer), layer.get_weights()[0]
    seen = []
    through(lambda matrices: seen.append(matrices) or matrices[0], kernel[np.newaxis], axes)
    np.testing.assert_allclose(x.ravel() @ seen[0][0], wanted, rtol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 2), (1, 2), (0, 1)])
def test_there_and_back(axes):
    values = np.arange(48.0).reshape(2, 2, 3, 4)
    np.testing.assert_array_equal(through(lambda matrices: matrices[1], values, axes), values[1])
